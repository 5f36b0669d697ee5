//! `fault`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy};

use crate::support::route;

fn fault(config: Value) -> Value {
    json!({"type": "fault", "config": config})
}

#[test]
fn a_delayed_request_waits_and_others_do_not() {
    let origin = Origin::echo();
    let config = json!({"delay": {"percentage": 100, "fixed_delay": "300ms"},
        "headers": [{"name": "x-slow", "value": "1"}]});
    // A delay is no fault, even if filters may not be pending for so long.
    let config = ConfigBuilder::to(origin.address()).filter(fault(config)).timeout("filter_pending", "100ms");
    let proxy = Proxy::start(&config.in_server("processor", json!(1)));
    let start = Instant::now();
    // Many at once on the only worker: none of them holds up another.
    let mut slow: Vec<_> = (0..20).map(|_| proxy.connect()).collect();
    for client in &mut slow {
        client.send("GET / HTTP/1.1\r\nHost: test\r\nx-slow: 1\r\n\r\n");
    }
    for _ in 0..20 {
        assert_eq!(proxy.get("/").status(), 200);
    }
    for client in &mut slow {
        assert_eq!(client.response().status(), 200);
    }
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(origin.count(), 40);
}

#[test]
fn a_client_that_leaves_ends_the_delay() {
    let origin = Origin::echo();
    let config = json!({"delay": {"percentage": 100, "fixed_delay": "1h"}});
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(fault(config)));
    let mut client = proxy.connect();
    client.send("GET /gone HTTP/1.1\r\nHost: test\r\n\r\n");
    client.reset();
    let line = proxy.access_line("of the client that left", |line| line.path == "/gone");
    assert!(line.has("DC") && origin.count() == 0, "{line:?}");
}

#[test]
fn aborts_answer_with_their_status_and_routes_have_their_own() {
    let origin = Origin::echo();
    let mut other = route("/other", json!({}));
    other["per_filter_config"] = json!({"fault": {"abort": {"percentage": 100, "status": 418}}});
    let mut calm = route("/calm", json!({}));
    calm["per_filter_config"] = json!({"fault": {}});
    let routes = json!([other, calm, route("/", json!({}))]);
    let filter = fault(json!({"abort": {"percentage": 100, "status": 503}}));
    let proxy = Proxy::start(&ConfigBuilder::to_routes(origin.address(), routes).filter(filter));
    let statuses = ["/", "/other", "/calm"].map(|path| proxy.get(path).status());
    assert_eq!((statuses, origin.count()), ([503, 418, 200], 1));
    // The connection goes on after such an answer.
    let mut client = proxy.connect();
    for _ in 0..3 {
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").response().status(), 503);
    }
    let line = proxy.access_line("of an abort", |line| line.path == "/other");
    assert_eq!(line.details, "fault_injected");
}

#[test]
fn a_share_of_requests_is_hit() {
    let origin = Origin::echo();
    let filter = fault(json!({"abort": {"percentage": 50, "status": 503}}));
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter));
    let mut client = proxy.connect();
    let hit =
        (0..400).filter(|_| client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").response().status() == 503).count();
    // Six standard deviations.
    assert!((140..=260).contains(&hit), "{hit}");
    assert_eq!(origin.count(), 400 - hit);
}

#[test]
pub(crate) fn only_the_named_cluster_is_hit() {
    let origin = Origin::echo();
    let routes = json!([
        {"match": {"prefix": "/b"}, "route": {"cluster_name": "b"}},
        route("/", json!({})),
    ]);
    let filter = fault(json!({"abort": {"percentage": 100, "status": 503}, "upstream_cluster": "b"}));
    let config = ConfigBuilder::to_routes(origin.address(), routes).cluster("b", &[origin.address()]).filter(filter);
    let proxy = Proxy::start(&config);
    assert_eq!((proxy.get("/a").status(), proxy.get("/b").status()), (200, 503));
}
