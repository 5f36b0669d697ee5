//! Which cluster and which of its hosts a route takes.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply};

/// An origin that answers with `name`.
fn named(name: &'static str) -> Origin {
    Origin::http(move |_| Reply::ok(name))
}

fn share(cluster: &str, weight: u32) -> Value {
    json!({"cluster": {"name": cluster, "weight": weight}})
}

/// One route for everything, with this `route`.
fn everything(config: ConfigBuilder, route: Value) -> ConfigBuilder {
    config.virtual_host("all", &["*"], json!([{"match": {"prefix": "/"}, "route": route}]))
}

#[test]
fn weighted_clusters_get_their_shares() {
    const REQUESTS: usize = 1000;
    let (stable, canary, off) = (Origin::echo(), Origin::echo(), Origin::echo());
    let config = ConfigBuilder::empty()
        .cluster("stable", &[stable.address()])
        .cluster("canary", &[canary.address()])
        .cluster("off", &[off.address()]);
    let shares = json!([share("stable", 80), share("off", 0), share("canary", 20)]);
    let name = json!([{"header": {"key": "x-cluster", "value": "%cluster%"}}]);
    let route = json!({"weighted_clusters": shares, "response_headers_to_add": name});
    let proxy = Proxy::start(&everything(config, route));
    let mut client = proxy.connect();
    let mut named = 0;
    for _ in 0..REQUESTS {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let got = client.response();
        assert_eq!(got.status(), 200);
        named += usize::from(got.header("x-cluster") == Some("canary"));
    }
    assert_eq!((stable.count() + canary.count(), off.count()), (REQUESTS, 0));
    // 200 are expected, with a standard deviation of 12.6.
    assert!((100..=300).contains(&canary.count()), "the canary got {}", canary.count());
    assert_eq!(named, canary.count(), "what filters and logs are told is what was chosen");
}

#[test]
pub(crate) fn a_header_or_a_variable_names_the_cluster() {
    let (blue, green) = (named("blue"), named("green"));
    let config =
        ConfigBuilder::empty().cluster("blue", &[blue.address()]).cluster("green", &[green.address()]).virtual_host(
            "all",
            &["*"],
            json!([
                {"match": {"prefix": "/h"}, "route": {"cluster_header": "X-Color"}},
                {"match": {"prefix": "/v"}, "route": {"cluster_variable": "request_arg_color"}},
            ]),
        );
    let proxy = Proxy::start(&config);
    for (path, fields, wanted) in [
        ("/h", "X-Color: blue\r\n", Some("blue")),
        ("/h", "X-Color: green\r\n", Some("green")),
        ("/v?color=green", "", Some("green")),
        ("/v?x=1&color=blue", "X-Color: green\r\n", Some("blue")),
        // Missing, unknown, empty, and in another spelling.
        ("/h", "", None),
        ("/h", "X-Color: red\r\n", None),
        ("/h", "X-Color:\r\n", None),
        ("/h", "X-Color: Blue\r\n", None),
        ("/v?colour=blue", "", None),
    ] {
        let got = proxy.get_with(path, fields);
        match wanted {
            Some(body) => assert_eq!((got.status(), got.text().as_str()), (200, body), "{path} {fields:?}"),
            None => assert_eq!(got.status(), 503, "{path} {fields:?}"),
        }
    }
    assert_eq!((blue.count(), green.count()), (2, 2));
}

/// A host with this version in its metadata.
fn host(origin: &Origin, version: &str) -> Value {
    json!({"address": origin.address().to_string(), "metadata": metadata(version)})
}

fn metadata(version: &str) -> Value {
    json!({"filter_metadata": {"mosn.lb": {"version": version}}})
}

#[test]
pub(crate) fn metadata_of_routes_and_of_weighted_clusters_choose_hosts() {
    let (one, two) = (named("one"), named("two"));
    let config = ConfigBuilder::empty().cluster_object(json!({
        "name": "main", "lb_type": "LB_ROUNDROBIN",
        "hosts": [host(&one, "1"), host(&two, "2")],
        "lb_subset_config": {"fall_back_policy": 0, "subset_selectors": [["version"]]},
    }));
    let weighted = json!([{"cluster": {"name": "main", "weight": 1, "metadata_match": metadata("1")}}]);
    let proxy = Proxy::start(&config.virtual_host(
        "all",
        &["*"],
        json!([
            {"match": {"prefix": "/one"}, "route": {"cluster_name": "main", "metadata_match": metadata("1")}},
            {"match": {"prefix": "/two"}, "route": {"cluster_name": "main", "metadata_match": metadata("2")}},
            {"match": {"prefix": "/nearer"}, "route": {"weighted_clusters": weighted, "metadata_match": metadata("2")}},
        ]),
    ));
    for (path, wanted) in [("/one", "one"), ("/two", "two"), ("/nearer", "one")] {
        for _ in 0..4 {
            assert_eq!(proxy.get(path).text(), wanted, "{path}");
        }
    }
    assert_eq!((one.count(), two.count()), (8, 4));
}
