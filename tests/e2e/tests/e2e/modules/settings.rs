//! Typed configurations of filters and routes, and where their mistakes show.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Outcome, Proxy, TempDir, sidegate};

use super::probe;

fn with_routes(origin: Option<&Origin>, host: Value, route: Value) -> ConfigBuilder {
    let address = origin.map_or_else(|| "127.0.0.1:9".parse().unwrap(), Origin::address);
    let to_origin = json!({"cluster_name": "origin"});
    ConfigBuilder::empty().cluster("origin", &[address]).virtual_host_object(json!({
        "name": "all",
        "domains": ["*"],
        "per_filter_config": host,
        "routers": [
            {"match": {"prefix": "/own"}, "route": to_origin, "per_filter_config": route},
            {"match": {"prefix": "/"}, "route": to_origin},
        ]
    }))
}

#[test]
pub(crate) fn the_nearest_settings_are_found_from_the_route_on() {
    let origin = Origin::echo();
    let config = with_routes(
        Some(&origin),
        json!({"libprobe": {"name": "host", "limits": [{"every": "1.5s"}]}}),
        json!({"libprobe": {"name": "route"}}),
    );
    let proxy = Proxy::start(&config.filter(probe("route", &json!({"name": "filter"}))));
    for (path, wanted, every) in [("/own", "route", None), ("/other", "host", Some("1500"))] {
        let got = proxy.get(path);
        let seen = origin.last();
        assert_eq!(seen.head.get("x-before"), Some("filter"), "{path}: there is no route yet");
        assert_eq!((seen.head.get("x-after"), seen.head.get("x-every")), (Some(wanted), every), "{path}");
        assert_eq!(got.header("x-settings"), Some(wanted), "{path}");
    }
}

fn check(config: &ConfigBuilder) -> (Outcome, String) {
    let dir = TempDir::new();
    let text = serde_json::to_string_pretty(&config.build(dir.path())).unwrap();
    let file = dir.write("config.json", &text);
    (sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str(), "--format".as_ref(), "json".as_ref()]), text)
}

/// Expects one error at `path`, whose line has `line` in it.
#[track_caller]
fn refused(config: &ConfigBuilder, path: &str, line: &str, words: &str) {
    let (outcome, text) = check(config);
    assert_eq!(outcome.code, Some(1), "{}", outcome.output());
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{report}");
    assert_eq!(errors[0]["path"], path, "{report}");
    assert!(errors[0]["message"].to_string().contains(words), "{report}");
    let number = errors[0]["line"].as_u64().unwrap() as usize;
    assert!(text.lines().nth(number - 1).unwrap().contains(line), "line {number} of\n{text}");
}

#[test]
fn what_a_factory_refuses_is_shown_at_its_key() {
    let filter = |config| ConfigBuilder::to("127.0.0.1:9".parse().unwrap()).filter(config);
    let at = "servers[0].listeners[0].stream_filters[0].config";
    let route = |config: Value| filter(probe("route", &config));
    let limits = json!([{"every": "1s"}, {"every": "soon"}]);
    let config = route(json!({"name": "x", "limits": limits}));
    refused(&config, &format!("{at}.limits[1].every"), "soon", "expected a duration such as");
    refused(&route(json!({"name": 7})), &format!("{at}.name"), "\"name\": 7", "expected a string");
    refused(&route(json!({"name": "x", "nmae": 1})), &format!("{at}.nmae"), "nmae", "unknown field `nmae`");
    refused(&route(json!({})), at, "config", "missing field `name`");
    let config = filter(probe("tag", &json!({"tag": "a\nb"})));
    refused(&config, &format!("{at}.tag"), "\"tag\"", "expected a header value");
    let config = filter(probe("limits", &json!({"series": 5000})));
    refused(&config, &format!("{at}.series"), "series", "limit reached");
}

#[test]
fn what_a_factory_refuses_of_a_route_is_shown_there() {
    let filter = probe("route", &json!({"name": "filter"}));
    let bad = json!({"libprobe": {"name": "x", "limits": [{"every": "1 second"}]}});
    let config = with_routes(None, bad.clone(), json!({})).filter(filter.clone());
    let at = "servers[0].routers[0].virtual_hosts[0]";
    refused(&config, &format!("{at}.per_filter_config.libprobe.limits[0].every"), "1 second", "duration");
    let config = with_routes(None, json!({}), bad).filter(filter);
    let at = format!("{at}.routers[0].per_filter_config.libprobe.limits[0].every");
    refused(&config, &at, "1 second", "duration");
    let config = with_routes(None, json!({"libprobe": {}}), json!({})).filter(probe("tag", &json!({"tag": "a"})));
    let at = "servers[0].routers[0].virtual_hosts[0].per_filter_config.libprobe";
    refused(&config, at, "libprobe", "no settings per route");
}
