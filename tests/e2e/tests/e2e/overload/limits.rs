//! Each limit, and what a client sees at it.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Gate, Origin, Proxy, Reply, Wire, until};
use socket2::{Domain, Socket, Type};

use super::{figure, with};
use crate::modules::Module;
use crate::support::echo_pair;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn echo_with(overload: Value) -> (Origin, Proxy) {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).top("overload", overload));
    (origin, proxy)
}

fn connect_from(source: &str, to: SocketAddr) -> Wire {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(source.parse().unwrap(), 0).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    Wire::over(socket.into())
}

/// How often the log says that `action` begins, and ends.
fn said(proxy: &Proxy, action: &str) -> (usize, usize) {
    let logs = proxy.logs();
    let count = |what: &str| logs.lines().filter(|line| line.contains(what) && line.contains(action)).count();
    (count("overload: action begins"), count("overload: action ends"))
}

#[test]
fn at_the_limit_of_connections_new_ones_wait_in_the_queue() {
    let (_origin, proxy) = echo_with(json!({"connections": {"total": 2}, "actions": {"close_idle": 0}}));
    let (mut first, mut second) = (proxy.connect(), proxy.connect());
    for client in [&mut first, &mut second] {
        assert_eq!(client.send(GET).response().status(), 200);
    }
    until("the action", || (figure(&proxy, r#"active{action="stop_accepting"}"#) == 1).then_some(()));
    let mut third = proxy.connect();
    third.send(GET);
    // Those that are there are served meanwhile.
    for _ in 0..20 {
        assert_eq!(first.send(GET).response().status(), 200);
    }
    assert_eq!(figure(&proxy, r#"used{limit="connections.total"}"#), 2);
    drop(second);
    assert_eq!(third.response().status(), 200);
    drop((first, third));
    until("the end of the action", || (figure(&proxy, r#"active{action="stop_accepting"}"#) == 0).then_some(()));
    // The log is written by a thread of its own.
    until("as many lines of each kind as counted", || {
        let count = figure(&proxy, r#"actions_total{action="stop_accepting"}"#);
        (said(&proxy, "stop_accepting") == (count, count)).then_some(())
    });
}

#[test]
fn a_listener_has_a_limit_of_its_own() {
    let (_origin, proxy) = echo_with(json!({"connections": {"per_listener": 1}, "actions": {"close_idle": 0}}));
    let mut first = proxy.connect();
    assert_eq!(first.send(GET).response().status(), 200);
    let mut second = proxy.connect();
    second.send(GET);
    for _ in 0..20 {
        assert_eq!(first.send(GET).response().status(), 200);
    }
    drop(first);
    assert_eq!(second.response().status(), 200);
}

#[test]
fn idle_connections_make_room_on_a_full_listener() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::http(move |seen| {
        if seen.head.target() == "/held" {
            held.wait();
        }
        Reply::ok("done")
    });
    let overload = json!({"connections": {"per_listener": 2}});
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).top("overload", overload));
    let mut busy = proxy.connect();
    busy.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait("the held request", |origin| origin.count() == 1);
    let mut idle = proxy.connect();
    assert_eq!(idle.send(GET).response().status(), 200);
    // Nobody closes anything here: the idle one gives way, the busy one stays.
    let mut waiting = proxy.connect();
    assert_eq!(waiting.send(GET).response().status(), 200);
    idle.expect_close();
    let line = "overload: the listener has all its connections";
    until("the line about it", || proxy.logs().contains(line).then_some(()));
    until("it to be counted", || (figure(&proxy, r#"closed_idle_total{side="downstream"}"#) == 1).then_some(()));
    gate.open();
    assert_eq!(busy.response().status(), 200);
}

#[test]
fn one_address_has_so_many_connections_and_others_have_theirs() {
    let (_origin, proxy) = echo_with(json!({"connections": {"per_client": 1}}));
    let mut first = connect_from("127.0.0.1", proxy.address());
    assert_eq!(first.send(GET).response().status(), 200);
    connect_from("127.0.0.1", proxy.address()).expect_close();
    assert_eq!(figure(&proxy, "refused_connections_total"), 1);
    let mut other = connect_from("127.0.0.2", proxy.address());
    assert_eq!(other.send(GET).response().status(), 200);
    drop(first);
    let again =
        until("the place to be free", || connect_from("127.0.0.1", proxy.address()).send(GET).try_response("GET").ok());
    assert_eq!(again.status(), 200);
}

#[test]
fn the_connections_that_are_idle_for_longest_close_first() {
    let (origin, proxy) = echo_with(json!({"connections": {"total": 20}}));
    let mut clients: Vec<Wire> = Vec::new();
    for _ in 0..16 {
        let mut client = proxy.connect();
        assert_eq!(client.send(GET).response().status(), 200);
        clients.push(client);
    }
    clients[0].expect_close();
    until("the end of the action", || {
        let ended = figure(&proxy, r#"active{action="close_idle"}"#) == 0;
        (ended && figure(&proxy, r#"actions_total{action="close_idle"}"#) > 0).then_some(())
    });
    // Who came last stays, as do most.
    assert_eq!(clients[15].send(GET).response().status(), 200);
    // Counted when all of a round have closed.
    let closed = until("them to be counted", || {
        Some(figure(&proxy, r#"closed_idle_total{side="downstream"}"#)).filter(|closed| *closed > 0)
    });
    assert!(closed <= 8, "{closed}");
    origin.wait("idle ones to the host close too", |origin| origin.open_connections() < 16);
    until("a line at its begin and one at its end", || (said(&proxy, "close_idle") == (1, 1)).then_some(()));
}

#[test]
fn above_the_limit_of_streams_the_answer_is_503() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::http(move |seen| {
        if seen.head.target() == "/held" {
            held.wait();
        }
        Reply::ok("done")
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).top("overload", json!({"streams": 1})));
    let mut held = proxy.connect();
    held.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait("the held request", |origin| origin.open_connections() == 1);
    let mut client = proxy.connect();
    let refused = client.send("GET /refused HTTP/1.1\r\nHost: a\r\n\r\n").response();
    assert_eq!((refused.status(), refused.text().as_str()), (503, "overload_streams\n"));
    let line = proxy.access_line("503", |line| line.path == "/refused");
    assert!(line.has("OM") && line.details == "overload_streams", "{line:?}");
    assert_eq!(figure(&proxy, r#"refused_streams_total{limit="streams"}"#), 1);
    gate.open();
    assert_eq!(held.response().status(), 200);
    // The connection of the refused one is as good as before.
    let got = until("the place to be free", || Some(client.send(GET).response()).filter(|got| got.status() == 200));
    assert_eq!(got.text(), "done");
}

#[test]
fn above_the_limit_of_pending_filters_the_answer_is_503() {
    let module = Module::compile("resume");
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).filter(module.entry("", &json!({})));
    let proxy = Proxy::start(&config.top("overload", json!({"pending_filters": 1})));
    let mut waiting = proxy.connect();
    waiting.send("GET /waits HTTP/1.1\r\nHost: a\r\nX-Wait: stale\r\n\r\n");
    until("the filter to wait", || (figure(&proxy, r#"used{limit="pending_filters"}"#) == 1).then_some(()));
    let refused = proxy.get_with("/refused", "X-Wait: later\r\n");
    assert_eq!((refused.status(), refused.text().as_str()), (503, "overload_pending_filters\n"));
    assert_eq!(proxy.get("/plain").status(), 200);
    drop(waiting);
    until("the place to be free", || (proxy.get_with("/", "X-Wait: later\r\n").status() == 200).then_some(()));
}

const HELD: usize = 900_000;

/// A connection of which almost a whole body of [`HELD`] bytes is held.
fn holder(proxy: &Proxy, path: &str) -> Wire {
    let mut client = proxy.connect();
    client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {HELD}\r\n\r\n"));
    let _ = client.try_send(vec![b'h'; HELD - 1]);
    client
}

fn holding(overload: Value) -> (Origin, Proxy) {
    let module = Module::compile("body");
    let origin = Origin::http(|_| Reply::ok("done"));
    let config =
        ConfigBuilder::to(origin.address()).filter(module.entry("whole", &json!({}))).top("overload", overload);
    let proxy = Proxy::start(&config);
    (origin, proxy)
}

#[test]
fn who_wants_to_hold_more_than_is_left_gets_503_and_who_holds_little_is_served() {
    let (_origin, proxy) = holding(json!({"buffered_bytes": 1 << 20, "actions": {"reset_streams": 0}}));
    let mut first = holder(&proxy, "/first");
    until("the body to be held", || (figure(&proxy, r#"used{limit="buffered_bytes"}"#) >= HELD).then_some(()));
    // The filter changes the proxy's own replies too.
    let refused = holder(&proxy, "/second").response();
    assert_eq!((refused.status(), refused.text().as_str()), (503, "OVERLOAD_BUFFERED_BYTES\n!"));
    let line = proxy.access_line("503", |line| line.path == "/second");
    assert!(line.has("OM") && line.details == "overload_buffered_bytes", "{line:?}");
    for _ in 0..20 {
        let small = "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nsmall";
        assert_eq!(proxy.exchange(small).status(), 200);
    }
    assert_eq!(first.send("h").response().status(), 200);
    // All is given back.
    let mut again = until("room", || {
        let mut again = holder(&proxy, "/again");
        again.send("h");
        Some(again).filter(|_| figure(&proxy, r#"used{limit="buffered_bytes"}"#) < HELD * 2)
    });
    assert_eq!(again.response().status(), 200);
}

#[test]
fn responses_that_filters_hold_count_too() {
    let module = Module::compile("body");
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::scripted(move |connection| {
        loop {
            let head = connection.head()?;
            let wait = head.target() == "/first";
            connection.finish(head)?;
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {HELD}\r\n\r\n"));
            let _ = connection.try_send(vec![b'r'; HELD - 1]);
            if wait {
                held.wait();
            }
            let _ = connection.try_send("r");
        }
    });
    let overload = json!({"buffered_bytes": 1 << 20, "actions": {"reset_streams": 0}});
    let config =
        ConfigBuilder::to(origin.address()).filter(module.entry("whole", &json!({}))).top("overload", overload);
    let proxy = Proxy::start(&config);
    let mut first = proxy.connect();
    first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the response to be held", || (figure(&proxy, r#"used{limit="buffered_bytes"}"#) >= HELD).then_some(()));
    assert_eq!(proxy.get("/second").status(), 503);
    let line = proxy.access_line("503", |line| line.path == "/second");
    assert!(line.has("OM") && line.details == "overload_buffered_bytes", "{line:?}");
    gate.open();
    let got = first.response();
    assert_eq!((got.status(), got.body.len()), (200, HELD + 1));
    until("room", || (proxy.get("/third").status() == 200).then_some(()));
}

#[test]
fn the_stream_that_holds_most_is_reset_when_held_bytes_run_short() {
    let (origin, proxy) = holding(json!({"buffered_bytes": 1 << 20}));
    let mut small = proxy.connect();
    small.send("POST /little HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n").send([b's'; 1000]);
    let reset = holder(&proxy, "/most").response();
    assert_eq!((reset.status(), reset.text().as_str()), (503, "overload_reset\n"));
    let line = proxy.access_line("503", |line| line.path == "/most");
    assert!(line.has("OM") && line.details == "overload_reset", "{line:?}");
    assert_eq!(figure(&proxy, "reset_streams_total"), 1);
    assert_eq!(small.send("s").response().status(), 200);
    assert_eq!(origin.count(), 1);
    until("the end of the action", || (figure(&proxy, r#"active{action="reset_streams"}"#) == 0).then_some(()));
}

#[test]
fn at_the_limit_of_memory_new_streams_get_503_and_their_connections_close() {
    // Any process is above one percent of this.
    let (origin, proxy) = echo_with(json!({"memory": 32 << 20, "actions": {
        "close_idle": 1, "shrink_buffers": 1, "reset_streams": 1, "stop_accepting": 0, "refuse_streams": 1}}));
    until("the action", || (figure(&proxy, r#"active{action="refuse_streams"}"#) == 1).then_some(()));
    let mut client = proxy.connect();
    let refused = client.send("GET /refused HTTP/1.1\r\nHost: a\r\n\r\n").response();
    assert_eq!((refused.status(), refused.text().as_str()), (503, "overload_memory\n"));
    assert_eq!(refused.head.get("connection"), Some("close"));
    client.expect_close();
    let line = proxy.access_line("503", |line| line.path == "/refused");
    assert!(line.has("OM") && line.details == "overload_memory", "{line:?}");
    assert_eq!(origin.count(), 0);
}

#[test]
fn at_the_limit_of_memory_nothing_is_accepted_and_a_drain_serves_who_waits() {
    let (_origin, mut proxy) = echo_with(json!({"memory": 32 << 20, "actions": {
        "close_idle": 0, "shrink_buffers": 0, "reset_streams": 0, "stop_accepting": 1, "refuse_streams": 0}}));
    until("the action", || (figure(&proxy, r#"active{action="stop_accepting"}"#) == 1).then_some(()));
    let mut waiting = proxy.connect();
    waiting.send(GET);
    assert_eq!(proxy.admin_get("/ready").status(), 200);
    assert_eq!(figure(&proxy, r#"used{limit="connections.total"}"#), 0);
    proxy.signal(sidegate_harness::Signal::TERM);
    assert_eq!(waiting.response().status(), 200);
    assert!(proxy.wait_exit().success());
}

#[test]
fn limits_are_on_by_themselves_and_far_away() {
    let (_origin, proxy) = echo_pair();
    assert_eq!(proxy.get("/").status(), 200);
    for limit in ["memory", "buffered_bytes", "connections.total", "descriptors", "streams", "pending_filters"] {
        assert!(figure(&proxy, &format!("limit{}", with("limit", limit))) > 0, "{limit}");
    }
    assert!(figure(&proxy, &format!("used{}", with("limit", "memory"))) > 1 << 20);
}
