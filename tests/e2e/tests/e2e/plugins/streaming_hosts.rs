//! The streaming protocol around the choice of a host, by the plugin in
//! tests/plugins/streams.

use serde_json::{Value, json};
use sidegate_harness::{Call, ConfigBuilder, Origin, Proxy, Reply};

use super::await_log;
use super::streaming::{asks, entry};

const PHASES: [&str; 2] = ["before_route", "after_choose_host"];

/// Hosts `stable` and `canary`, told apart by a label.
struct Fleet {
    stable: Origin,
    canary: Origin,
    proxy: Proxy,
}

impl Fleet {
    fn new(streaming: Value) -> Self {
        let named = |name: &'static str| Origin::http(move |_| Reply::ok(name));
        let (stable, canary) = (named("stable"), named("canary"));
        let host = |origin: &Origin, version: &str| {
            json!({
                "address": origin.address().to_string(),
                "metadata": {"filter_metadata": {"mosn.lb": {"version": version}}},
            })
        };
        let routes = json!([{"match": {"prefix": "/"}, "route": {
            "cluster_name": "origin",
            "metadata_match": {"filter_metadata": {"mosn.lb": {"version": "stable"}}},
        }}]);
        let cluster = json!({
            "name": "origin", "type": "SIMPLE", "lb_type": "LB_ROUNDROBIN",
            "hosts": [host(&stable, "stable"), host(&canary, "canary")],
            "lb_subset_config": {"fall_back_policy": 0, "subset_selectors": [["version"]]},
        });
        let config = ConfigBuilder::empty().virtual_host("all", &["*"], routes).cluster_object(cluster);
        let proxy = Proxy::start(&config.filter(entry("", streaming, json!({}))));
        Fleet { stable, canary, proxy }
    }
}

#[test]
fn the_plugin_asks_for_hosts_by_labels() {
    let fleet = Fleet::new(json!({}));
    for _ in 0..4 {
        assert_eq!(fleet.proxy.call(&asks("")).text(), "stable");
        assert_eq!(fleet.proxy.call(&asks("head.label=version:canary")).text(), "canary");
        assert_eq!(fleet.proxy.call(&asks("head.label=version:none")).status(), 502);
    }
    // Later than any choice of a host.
    let fleet = Fleet::new(json!({"phases": [], "response_headers": true, "request_body": "stream"}));
    assert_eq!(fleet.proxy.call(&Call::post("/", "abc")).text(), "stable");
}

#[test]
fn after_a_host_was_chosen_the_plugin_sees_which_and_may_still_change_the_request() {
    let fleet = Fleet::new(json!({"phases": PHASES, "variables": ["upstream_host", "cluster_name"]}));
    let answer = fleet.proxy.call(&asks("chosen.tell,chosen.set=x-late:1,chosen.target=/late"));
    assert_eq!(answer.text(), "stable");
    let head = fleet.stable.last().head;
    assert_eq!((head.get("x-late"), head.target()), (Some("1"), "/late"));
    let told = head.get("x-told").unwrap().to_owned();
    let (before, chosen) = told.split_once(" chosen(3 ").unwrap_or_else(|| panic!("two hooks in {told}"));
    assert!(before.starts_with("head(1 ") && !before.contains("15="), "no host yet: {before}");
    assert!(chosen.contains("14=origin") && chosen.contains(&format!("15={}", fleet.stable.address())), "{chosen}");
    // It decides there like anywhere.
    let answer = fleet.proxy.call(&asks("chosen.reply=451:not there"));
    assert_eq!((answer.status(), answer.text().as_str()), (451, "not there"));
    assert_eq!((fleet.stable.count(), fleet.canary.count()), (1, 0));
}

#[test]
fn the_plugin_has_a_host_chosen_again() {
    let fleet = Fleet::new(json!({"phases": PHASES, "variables": ["upstream_host"]}));
    for round in 1..=3 {
        let answer = fleet.proxy.call(&asks("chosen.rechoose,chosen.label=version:canary,chosen.tell"));
        assert_eq!((answer.text().as_str(), fleet.stable.count(), fleet.canary.count()), ("canary", 0, round));
    }
    // It was asked about both, in this order.
    let told = fleet.canary.last().head.get("x-told").unwrap().to_owned();
    let hosts: Vec<&str> = told.split(" chosen(").skip(1).collect();
    assert_eq!(hosts.len(), 2, "{told}");
    assert!(hosts[0].contains(&format!("15={}", fleet.stable.address())), "{told}");
    assert!(hosts[1].contains(&format!("15={}", fleet.canary.address())), "{told}");
}

#[test]
fn what_has_no_meaning_before_a_host_is_a_bad_answer() {
    let fleet = Fleet::new(json!({"phases": PHASES, "response_headers": true}));
    for deeds in ["head.rechoose", "rhead.rechoose", "rhead.label=version:canary", "rhead.rematch=/x"] {
        assert_eq!(fleet.proxy.call(&asks(deeds)).status(), 500, "{deeds}");
    }
    await_log(&fleet.proxy, "ACTION_RECHOOSE_HOST has no meaning in this hook");
    let series = "sidegate_plugin_call_failures_total{plugin=\"sidegate-test-streams\",reason=\"bad_answer\"}";
    assert_eq!(fleet.proxy.metric(series), Some(4.0));
    assert_eq!(fleet.proxy.call(&asks("")).text(), "stable");
}

#[test]
fn who_wants_none_of_the_hosts_gets_none() {
    let fleet = Fleet::new(json!({"phases": PHASES}));
    assert_eq!(fleet.proxy.call(&asks("chosen.rechoose-always")).status(), 502);
    assert_eq!((fleet.stable.count(), fleet.canary.count()), (0, 0));
    assert_eq!(fleet.proxy.call(&asks("")).text(), "stable");
}
