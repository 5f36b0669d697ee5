//! Limits change with the configuration, under those that are there.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Gate, Origin, Proxy, Reply, Wire, until};

use super::{figure, with};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HELD: &str = "GET /held HTTP/1.1\r\nHost: a\r\n\r\n";

fn limited(origin: &Origin, overload: Value) -> ConfigBuilder {
    ConfigBuilder::to(origin.address()).top("overload", overload)
}

fn served(clients: &mut [Wire]) {
    for client in clients {
        assert_eq!(client.send(GET).response().status(), 200);
    }
}

/// A limit as the metrics say it.
fn limit(proxy: &Proxy, name: &str) -> Option<f64> {
    proxy.metric(&format!("sidegate_overload_limit{}", with("limit", name)))
}

fn roll_back(proxy: &Proxy) {
    let answer = proxy.order("/api/v1/config/rollback");
    assert_eq!(answer.status(), 200, "{}", answer.text());
}

#[test]
fn connections_wait_below_a_lowered_limit_and_get_in_by_a_raised_one() {
    let origin = Origin::echo();
    let total = |total: u32| limited(&origin, json!({"connections": {"total": total}, "actions": {"close_idle": 0}}));
    let mut proxy = Proxy::start(&total(100));
    let mut there: Vec<Wire> = (0..4).map(|_| proxy.connect()).collect();
    served(&mut there);
    let answer = proxy.reload(&total(2));
    assert_eq!(answer["changes"]["process"], json!([{"part": "overload"}]), "{answer:#}");
    assert_eq!(limit(&proxy, "connections.total"), Some(2.0));
    let mut waiting = proxy.connect();
    waiting.send(GET);
    // Nobody is cut, and there is no room until three of the four have gone.
    until("the action", || (figure(&proxy, r#"active{action="stop_accepting"}"#) == 1).then_some(()));
    drop(there.split_off(2));
    until("two to have gone", || (figure(&proxy, r#"used{limit="connections.total"}"#) == 2).then_some(()));
    served(&mut there);
    assert_eq!(figure(&proxy, r#"used{limit="connections.total"}"#), 2);
    proxy.reload(&total(3));
    assert_eq!(waiting.response().status(), 200);
    let mut last = proxy.connect();
    last.send(GET);
    served(&mut there);
    until("the one that waited", || (figure(&proxy, r#"used{limit="connections.total"}"#) == 3).then_some(()));
    // To 2, which is not enough, and to 100.
    roll_back(&proxy);
    assert_eq!(limit(&proxy, "connections.total"), Some(2.0));
    roll_back(&proxy);
    assert_eq!(limit(&proxy, "connections.total"), Some(100.0));
    assert_eq!(last.response().status(), 200);
    served(&mut there);
}

#[test]
fn a_limit_of_listeners_and_of_clients_counts_those_that_came_before_it() {
    let origin = Origin::echo();
    let of = |connections: Value| limited(&origin, json!({"connections": connections, "actions": {"close_idle": 0}}));
    let mut proxy = Proxy::start(&of(json!({})));
    let mut there: Vec<Wire> = (0..2).map(|_| proxy.connect()).collect();
    served(&mut there);
    proxy.reload(&of(json!({"per_listener": 2})));
    let mut waiting = proxy.connect();
    waiting.send(GET);
    served(&mut there);
    assert_eq!(figure(&proxy, r#"used{limit="connections.total"}"#), 2);
    proxy.reload(&of(json!({"per_listener": 3, "per_client": 3})));
    assert_eq!(waiting.response().status(), 200);
    there.push(waiting);
    proxy.reload(&of(json!({"per_client": 3})));
    proxy.connect().expect_close();
    served(&mut there);
    proxy.reload(&of(json!({})));
    let mut free = proxy.connect();
    assert_eq!(free.send(GET).response().status(), 200);
}

#[test]
fn idle_connections_close_by_a_threshold_that_is_lowered() {
    let origin = Origin::echo();
    let of = |close_idle: u32| {
        limited(&origin, json!({"connections": {"total": 100}, "actions": {"close_idle": close_idle}}))
    };
    let mut proxy = Proxy::start(&of(0));
    let mut there: Vec<Wire> = (0..20).map(|_| proxy.connect()).collect();
    served(&mut there);
    proxy.reload(&of(15));
    there[0].expect_close();
    until("the end of the action", || {
        let ended = figure(&proxy, r#"active{action="close_idle"}"#) == 0;
        (ended && figure(&proxy, r#"actions_total{action="close_idle"}"#) > 0).then_some(())
    });
    served(&mut there[19..]);
}

#[test]
fn streams_end_below_a_lowered_limit_and_new_ones_are_refused() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::http(move |seen| {
        if seen.head.target() == "/held" {
            held.wait();
        }
        Reply::ok("done")
    });
    let mut proxy = Proxy::start(&limited(&origin, json!({"streams": 1000})));
    let mut running: Vec<Wire> = (0..3).map(|_| proxy.connect()).collect();
    for client in &mut running {
        client.send(HELD);
    }
    origin.wait("the held requests", |origin| origin.open_connections() == 3);
    let mut client = proxy.connect();
    let mut status = || client.send(GET).response().status();
    proxy.reload(&limited(&origin, json!({"streams": 3})));
    assert_eq!(limit(&proxy, "streams"), Some(3.0));
    // Workers give back what they have in hand of the former limit.
    until("a refused stream", || (status() == 503).then_some(()));
    assert_eq!([status(), status()], [503, 503]);
    proxy.reload(&limited(&origin, json!({"streams": 0})));
    assert_eq!([status(), status()], [200, 200]);
    assert_eq!(limit(&proxy, "streams"), Some(0.0));
    roll_back(&proxy);
    assert_eq!(limit(&proxy, "streams"), Some(3.0));
    until("a refused stream", || (status() == 503).then_some(()));
    gate.open();
    for client in &mut running {
        assert_eq!(client.response().status(), 200);
    }
    until("room", || (status() == 200).then_some(()));
}

#[test]
fn descriptors_and_memory_have_other_limits_at_once() {
    let origin = Origin::echo();
    let mut proxy = Proxy::start(&limited(&origin, json!({})));
    let mut there = [proxy.connect()];
    served(&mut there);
    proxy.reload(&limited(&origin, json!({"descriptors": 1, "memory": 1 << 30, "actions": {"close_idle": 0}})));
    assert_eq!((limit(&proxy, "descriptors"), limit(&proxy, "memory")), (Some(1.0), Some(f64::from(1 << 30))));
    until("the action", || (figure(&proxy, r#"active{action="stop_accepting"}"#) == 1).then_some(()));
    let mut waiting = proxy.connect();
    waiting.send(GET);
    served(&mut there);
    assert_eq!(figure(&proxy, r#"used{limit="connections.total"}"#), 1);
    proxy.reload(&limited(&origin, json!({"descriptors": "off"})));
    assert_eq!(waiting.response().status(), 200);
    until("the end of the action", || (figure(&proxy, r#"active{action="stop_accepting"}"#) == 0).then_some(()));
}
