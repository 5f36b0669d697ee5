//! Settings that are refused, and filters that are not there.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, TempDir, sidegate};

fn check(filter: Value, per_filter: Value) -> String {
    let dir = TempDir::new();
    let path = dir.join("sidegate.json");
    let mut route = json!({"match": {"prefix": "/"}, "route": {"cluster_name": "origin"}});
    route["per_filter_config"] = per_filter;
    let config = ConfigBuilder::to_routes("127.0.0.1:1".parse().unwrap(), json!([route])).filter(filter);
    std::fs::write(&path, serde_json::to_vec_pretty(&config.build(dir.path())).unwrap()).unwrap();
    let outcome = sidegate(["check", "--config", path.to_str().unwrap()]);
    format!("{:?}\n{}", outcome.code, outcome.output())
}

#[test]
fn mistakes_in_a_filters_settings_are_placed() {
    for (filter, wanted) in [
        (
            json!({"type": "fault", "config": {"delay": {"percentage": 101}}}),
            "servers[0].listeners[0].stream_filters[0].config.delay.percentage",
        ),
        (
            json!({"type": "gzip", "config": {"gzip_levels": 3}}),
            "servers[0].listeners[0].stream_filters[0].config.gzip_levels",
        ),
        (
            json!({"type": "ip_access", "config": {"ips": [{"action": "deny", "addrs": ["10.0.0.0/64"]}]}}),
            "servers[0].listeners[0].stream_filters[0].config.ips[0].addrs[0]",
        ),
    ] {
        let said = check(filter.clone(), json!({}));
        assert!(said.starts_with("Some(1)") && said.contains(wanted), "{filter}: {said}");
    }
    let said = check(json!({"type": "fault"}), json!({"fault": {"abort": {"percentage": 1}}}));
    let wanted = "routers[0].per_filter_config.fault.abort.status";
    assert!(said.starts_with("Some(1)") && said.contains(wanted), "{said}");
    let said = check(json!({"type": "ip_access"}), json!({"ip_access": {}}));
    assert!(said.starts_with("Some(1)") && said.contains("no settings per route"), "{said}");
}

#[test]
fn filters_of_mosn_that_are_not_here_are_errors() {
    for name in ["proxywasm", "seata", "transcoder", "dubbo_stream", "fault_tolerance"] {
        let said = check(json!({"type": name}), json!({}));
        assert!(said.starts_with("Some(1)") && said.contains("is not in Sidegate: "), "{name}: {said}");
    }
    let said = check(json!({"type": "healthcheck"}), json!({}));
    assert!(said.starts_with("Some(0)") && said.contains("this filter is left out: "), "{said}");
}
