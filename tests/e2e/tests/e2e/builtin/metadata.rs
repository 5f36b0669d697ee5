//! `header_to_metadata`.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply};

#[test]
pub(crate) fn headers_choose_the_subset_of_hosts() {
    let named = |name: &'static str| Origin::http(move |_| Reply::ok(name));
    let (stable, canary, elsewhere) = (named("stable"), named("canary"), named("elsewhere"));
    let host = |origin: &Origin, version: &str, zone: &str| {
        json!({
            "address": origin.address().to_string(),
            "metadata": {"filter_metadata": {"mosn.lb": {"version": version, "zone": zone}}},
        })
    };
    let routes = json!([{"match": {"prefix": "/"}, "route": {
        "cluster_name": "origin",
        // The filter goes over it, and leaves the rest.
        "metadata_match": {"filter_metadata": {"mosn.lb": {"version": "none", "zone": "a"}}},
    }}]);
    let filter = json!({"type": "header_to_metadata", "config": {"request_rules": [
        {"header": "x-version", "on_header_missing": {"key": "version", "value": "stable"}},
        {"header": "x-version", "on_header_present": {"key": "version"}, "remove": true},
    ]}});
    let cluster = json!({
        "name": "origin", "type": "SIMPLE", "lb_type": "LB_ROUNDROBIN",
        "hosts": [host(&stable, "stable", "a"), host(&canary, "canary", "a"), host(&elsewhere, "canary", "b")],
        "lb_subset_config": {"fall_back_policy": 0, "subset_selectors": [["version", "zone"]]},
    });
    let config = ConfigBuilder::empty().virtual_host("all", &["*"], routes).cluster_object(cluster).filter(filter);
    let proxy = Proxy::start(&config);
    for _ in 0..4 {
        assert_eq!(proxy.get("/").text(), "stable");
        assert_eq!(proxy.get_with("/", "X-Version: canary\r\n").text(), "canary");
        assert_eq!(proxy.get_with("/", "X-Version: other\r\n").status(), 502);
    }
    assert!(!canary.last().head.has("x-version"), "the rule takes the header away");
}
