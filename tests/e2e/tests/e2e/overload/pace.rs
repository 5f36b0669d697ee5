//! Clients that take too long with their requests.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Gate, Message, Origin, Proxy, Reply, Wire};

use crate::modules::Module;

/// At most 200 ms of waiting for a client that sends little.
fn demanding(origin: &Origin) -> ConfigBuilder {
    ConfigBuilder::to(origin.address()).limit("min_body_rate", 1_000_000).timeout("body_rate_grace", "200ms")
}

/// A client that sends a little of what it announces.
fn slow(proxy: &Proxy, path: &str) -> Wire {
    let mut client = proxy.connect();
    client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\na little"));
    client
}

#[track_caller]
fn assert_refused(proxy: &Proxy, got: &Message, path: &str, details: &str) {
    assert_eq!(got.status(), 408, "{path}");
    let line = proxy.access_line("408", |line| line.path == path);
    assert!(line.has("DT") && line.details == details, "{line:?}");
}

#[test]
fn a_body_that_comes_too_slowly_is_408() {
    let module = Module::compile("body");
    let origin = Origin::http(|_| Reply::ok("done"));
    let plain = demanding(&origin);
    let held = plain.clone().filter(module.entry("whole", &json!({})));
    for config in [plain, held] {
        let proxy = Proxy::start(&config);
        let mut client = slow(&proxy, "/slow");
        assert_refused(&proxy, &client.response(), "/slow", "request_body_too_slow");
        client.expect_close();
        let fast = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{}", "f".repeat(1000));
        assert_eq!(proxy.exchange(fast).status(), 200);
    }
}

#[test]
fn a_trickle_does_not_help() {
    let origin = Origin::http(|_| Reply::ok("done"));
    let proxy = Proxy::start(&demanding(&origin));
    let mut client = slow(&proxy, "/trickle");
    client.set_patience(std::time::Duration::from_millis(20));
    let mut answer = None;
    for _ in 0..900 {
        // Each byte would begin a time between two pieces anew.
        let _ = client.try_send("t");
        if let Ok(got) = client.try_response("POST") {
            answer = Some(got);
            break;
        }
    }
    assert_refused(
        &proxy,
        &answer.expect("an answer before the body is complete"),
        "/trickle",
        "request_body_too_slow",
    );
}

#[test]
fn a_request_has_a_time_as_a_whole() {
    let origin = Origin::http(|_| Reply::ok("done"));
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).timeout("request", "200ms"));
    let mut client = slow(&proxy, "/long");
    assert_refused(&proxy, &client.response(), "/long", "request_timeout");
}

#[test]
fn chunked_bodies_are_streams_that_may_last_unless_said_otherwise() {
    let origin = Origin::http(|_| Reply::ok("done"));
    let begin = "POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ns\r\n";
    let proxy = Proxy::start(&demanding(&origin).timeout("request", "300ms"));
    let mut stream = proxy.connect();
    stream.send(begin);
    // One that has to hurry comes later and ends earlier, twice.
    for path in ["/first", "/second"] {
        assert_refused(&proxy, &slow(&proxy, path).response(), path, "request_body_too_slow");
    }
    assert_eq!(stream.send("0\r\n\r\n").response().status(), 200);
    let config = ConfigBuilder::to(origin.address()).timeout("body_rate_grace", "100ms");
    let proxy = Proxy::start(&config.clone().limit("min_chunked_body_rate", 1_000_000));
    let got = proxy.exchange(begin);
    assert_refused(&proxy, &got, "/stream", "request_body_too_slow");
    let proxy = Proxy::start(&config.timeout("chunked_request", "100ms"));
    let got = proxy.exchange(begin);
    assert_refused(&proxy, &got, "/stream", "request_timeout");
}

#[test]
fn an_upstream_that_is_slow_is_not_the_clients_fault() {
    const BODY: usize = 24 << 20;
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::scripted(move |connection| {
        let head = connection.head()?;
        if head.target() == "/held" {
            held.wait();
        }
        let seen = connection.finish(head)?;
        connection.reply(&Reply::ok(seen.body.len().to_string()))
    });
    let proxy = Proxy::start(&demanding(&origin));
    let address = proxy.address();
    let upload = std::thread::spawn(move || {
        let mut client = Wire::connect(address);
        client.send(format!("POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY}\r\n\r\n"));
        client.send(vec![b'u'; BODY]).response()
    });
    origin.wait("the upload", |origin| origin.open_connections() == 1);
    for path in ["/first", "/second"] {
        assert_refused(&proxy, &slow(&proxy, path).response(), path, "request_body_too_slow");
    }
    gate.open();
    let got = upload.join().unwrap();
    assert_eq!((got.status(), got.text()), (200, BODY.to_string()));
}
