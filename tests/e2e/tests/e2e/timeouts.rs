//! Each part of a request that can be slow has a bound.

use std::time::{Duration, Instant};

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Gate, Origin, PATIENCE, Proxy, Reply, WireError};

/// Longer than any timeout that these tests configure, and far below the
/// defaults: what ends within it ended because of the configured bound.
const SOON: Duration = Duration::from_secs(6);

#[test]
fn half_a_head_is_408() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).timeout("request_header", "300ms"));
    let start = Instant::now();
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Half");
    assert_eq!(client.response().status(), 408);
    client.expect_close();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    let line = proxy.access_line("408", |line| line.status == 408);
    assert!(line.has("DT"), "{line:?}");
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_head_that_drips_is_408_all_the_same() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).timeout("request_header", "500ms"));
    let start = Instant::now();
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Drip: ");
    client.set_patience(Duration::from_millis(50));
    let got = loop {
        assert!(start.elapsed() < SOON, "each byte renewed the timeout");
        let _ = client.try_send("d");
        match client.try_response("GET") {
            Err(WireError::Timeout) => {}
            other => break other,
        }
    };
    // Bytes that cross the close may turn it into a reset; a 408 is what a client should get.
    assert_eq!(got.map(|got| got.status()), Ok(408));
}

#[test]
fn a_second_head_on_a_connection_is_bounded_too() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).timeout("request_header", "300ms"));
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let start = Instant::now();
    client.send("GET / HT");
    assert_eq!(client.response().status(), 408);
    assert!(start.elapsed() < SOON);
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).in_listener("connection_idle_timeout", json!("300ms"));
    let proxy = Proxy::start(&config);
    let start = Instant::now();
    let mut silent = proxy.connect();
    let mut used = proxy.connect();
    used.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(used.response().status(), 200);
    used.expect_close();
    let said = silent.read_until_close();
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408"), "{:?}", String::from_utf8_lossy(&said));
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn a_silent_connection_is_closed_by_default_too() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut silent = proxy.connect();
    silent.send("\r\n");
    // Its default is a minute or so: only that it stays open at first is told apart from a refusal here.
    silent.expect_silence(Duration::from_millis(300));
    silent.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(silent.response().status(), 200);
}

#[test]
fn a_body_that_stops_coming_is_408() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).timeout("request_body", "300ms"));
    for (what, raw) in [
        ("length", "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabcde"),
        ("chunked", "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"),
        ("trailers", "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T"),
        ("nothing", "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"),
    ] {
        let start = Instant::now();
        let mut client = proxy.connect();
        client.send(raw);
        let got = client.try_response("POST").unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(got.status(), 408, "{what}");
        client.expect_close();
        assert!(start.elapsed() < SOON, "{what}: {:?}", start.elapsed());
    }
    assert!(origin.seen().iter().all(|seen| !seen.complete));
    let line = proxy.access_line("408", |line| line.status == 408);
    assert!(line.has("DT"), "{line:?}");
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    let origin = Origin::scripted(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while connection.try_send(vec![b'x'; 64 << 10]).is_ok() {}
        Ok(())
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).timeout("response_write", "300ms"));
    let mut client = proxy.connect();
    client.send("GET /unread HTTP/1.1\r\nHost: a\r\n\r\n");
    let line = proxy.access_line("the client that does not read", |line| line.path == "/unread");
    assert!(line.has("DT"), "{line:?}");
    origin.wait("its connection's end", |origin| origin.open_connections() == 0);
}

#[test]
fn a_client_that_reads_slowly_but_steadily_is_served() {
    let body = vec![b'x'; 24 << 20];
    let origin = Origin::http(move |_| Reply::ok(body.clone()));
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).timeout("response_write", "2s"));
    let mut client = proxy.connect();
    client.shrink_receive_buffer(256 << 10);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut left = 24 << 20;
    assert_eq!(client.read_head().unwrap().status(), 200);
    while left > 0 {
        let now = left.min(256 << 10);
        left -= client.read_exact(now).unwrap().len();
    }
}

#[test]
pub(crate) fn a_response_that_never_starts_is_504() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::http(move |_| {
        held.wait();
        Reply::ok("late")
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).timeout("response", "300ms"));
    let start = Instant::now();
    assert_eq!(proxy.get("/").status(), 504);
    assert!(start.elapsed() < SOON);
    let line = proxy.access_line("504", |line| line.status == 504);
    assert!(line.has("UT"), "{line:?}");
    gate.open();
    // The late answer belongs to nobody.
    let again = proxy.get("/");
    assert_eq!((again.status(), again.text().as_str()), (200, "late"));
}

#[test]
fn a_response_that_stops_in_the_middle_is_cut() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::scripted(move |connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        held.wait();
        Ok(())
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).timeout("response", "500ms"));
    let start = Instant::now();
    let mut client = proxy.connect();
    client.send("GET /middle HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.try_response("GET"), Err(WireError::Truncated { body: b"abc".to_vec() }));
    assert!(start.elapsed() < SOON);
    let line = proxy.access_line("cut", |line| line.path == "/middle");
    assert!(line.has("UT"), "{line:?}");
    gate.open();
}

#[test]
fn a_route_may_wait_longer_than_the_rest() {
    let origin = Origin::scripted(|connection| {
        loop {
            connection.request()?;
            // Longer than the proxy's bound for other routes.
            connection.expect_silence(Duration::from_millis(700));
            connection.reply(&Reply::ok("slow"))?;
        }
    });
    let routes = json!([
        {"match": {"prefix": "/slow"}, "route": {"cluster_name": "origin", "timeout": "15s"}},
    ]);
    let proxy = Proxy::start(&ConfigBuilder::to_routes(origin.address(), routes).timeout("response", "300ms"));
    assert_eq!(proxy.get("/slow").status(), 200);
}

#[test]
pub(crate) fn idle_upstream_connections_are_closed() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).in_cluster("idle_timeout", json!("300ms")));
    let start = Instant::now();
    assert_eq!(proxy.get("/").status(), 200);
    origin.wait("the idle connection's end", |origin| origin.open_connections() == 0);
    assert!(start.elapsed() < PATIENCE / 2);
    assert_eq!(proxy.get("/").status(), 200);
    assert_eq!(origin.connections(), 2);
}
