//! The page on operations names what a running proxy shows.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, repository};

fn page() -> String {
    std::fs::read_to_string(repository().join("docs/src/operations.md")).unwrap()
}

/// A proxy with everything that makes metrics.
fn proxy(origin: &Origin) -> Proxy {
    let cluster = json!([{
        "name": "origin",
        "hosts": [{"address": origin.address().to_string()}],
        "health_check": {"service_name": "checked", "protocol": "TCP"},
        "outlier_detection": {},
        "circuit_breakers": [{"max_requests": 1000}],
    }]);
    Proxy::start(&ConfigBuilder::to(origin.address()).top("cluster_manager", json!({"clusters": cluster})))
}

#[test]
fn every_metric_is_on_the_page() {
    let (origin, page) = (Origin::echo(), page());
    let proxy = proxy(&origin);
    assert_eq!(proxy.get("/").status(), 200);
    let shown = proxy.admin_get("/stats/prometheus").text();
    let names: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(names.len() > 40, "{shown}");
    // Statuses share a row, which names the first of them.
    let status = |name: &str| name.strip_prefix("downstream_request_")?.strip_suffix("_total")?.parse::<u16>().ok();
    let missing: Vec<&&str> = names
        .iter()
        .filter(|name| match status(name) {
            Some(code) => !page.contains(&format!(" {code}")) && code != 200,
            None => !page.contains(&format!("`{name}`")) && !page.contains(&format!("`{name}{{")),
        })
        .collect();
    assert!(missing.is_empty(), "docs/src/operations.md lacks {missing:?}");
}

#[test]
fn every_admin_path_is_on_the_page() {
    let (origin, page) = (Origin::echo(), page());
    let proxy = proxy(&origin);
    let list = proxy.admin_get("/").text();
    let paths: Vec<&str> = list.split_whitespace().filter(|word| word.starts_with('/')).collect();
    assert!(paths.len() > 10, "{list}");
    for path in paths {
        assert!(page.contains(&format!("`{path}`")), "docs/src/operations.md lacks {path}");
    }
}

#[test]
fn every_response_flag_is_on_the_page() {
    let page = page();
    for (_, name) in sidegate_api::ResponseFlags::NAMES {
        assert!(page.contains(&format!("\n| {name} |")), "docs/src/operations.md lacks {name}");
    }
}
