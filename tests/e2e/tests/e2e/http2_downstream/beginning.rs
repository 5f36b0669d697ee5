//! Which protocol a client speaks.

use std::time::{Duration, Instant};

use serde_json::json;
use sidegate_harness::{Call, Ending, Frames, H2Client, Origin, Proxy, flag};

use super::{Said, config};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[test]
fn both_protocols_on_one_port() {
    let origin = Origin::echo();
    let said = Said::new();
    let proxy = Proxy::start(&said.in_config(config(&origin)));
    assert_eq!(H2Client::connect(proxy.address()).get("/two").status(), 200);
    let mut old = proxy.connect();
    old.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(old.response().status(), 200);
    assert!(said.of("/two").starts_with("HTTP/2 "));
    assert!(said.of("/one").starts_with("HTTP/1.1 "));
}

/// However the preface is cut into pieces.
#[test]
fn a_preface_in_pieces() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin));
    for cut in [1, 3, 16, 23] {
        let mut wire = proxy.connect();
        wire.send(&PREFACE[..cut]);
        wire.expect_silence(Duration::from_millis(30));
        wire.send(&PREFACE[cut..]).send(sidegate_harness::Frame::settings(&[]).to_bytes());
        let mut frames = Frames::over(wire);
        frames.request(1, flag::END_STREAM, "GET", "/", &[]);
        assert_eq!(frames.ending(1), Ending::Answered(200), "{cut}");
    }
}

/// What begins like a preface and goes on otherwise is HTTP/1.
#[test]
fn a_method_that_begins_like_the_preface() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin));
    for (request, status) in [
        (&b"PRI /path HTTP/1.1\r\nHost: a\r\n\r\n"[..], 200),
        (b"PRIVATE /path HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"PUT /path HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 200),
    ] {
        let mut wire = proxy.connect();
        wire.send(&request[..2]);
        wire.expect_silence(Duration::from_millis(20));
        wire.send(&request[2..]);
        assert_eq!(wire.response().status(), status, "{}", String::from_utf8_lossy(request));
    }
}

#[test]
fn a_preface_that_does_not_come_to_its_end() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin).timeout("request_header", "300ms"));
    // However far it came, and none of it is a request of HTTP/1.
    for length in [1, 10, 18, 23] {
        let mut wire = proxy.connect();
        wire.send(&PREFACE[..length]);
        let got = wire.response();
        assert_eq!((got.status(), got.text().as_str()), (408, "request_header_timeout\n"), "{length}");
        wire.expect_close();
        let mut wire = proxy.connect();
        wire.send(&PREFACE[..length]).shutdown_write();
        assert!(wire.read_until_close().is_empty(), "{length}");
    }
    proxy.access_line("closed", |line| line.details == "closed_in_request_head");
    let mut silent = Frames::over(proxy.connect());
    silent.wire().send(PREFACE);
    let _ = silent.next_of(|_| false);
    assert_eq!(origin.count(), 0);
}

/// One timeout for finding out which protocol it is and for the head.
#[test]
fn a_head_that_begins_like_the_preface_has_no_more_time_than_others() {
    let timeout = Duration::from_secs(2);
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin).timeout("request_header", "2s"));
    let mut wire = proxy.connect();
    wire.send("P");
    let begun = Instant::now();
    wire.expect_silence(timeout * 3 / 4);
    wire.send("UT /slow HTTP/1.1\r\n");
    assert_eq!(wire.response().status(), 408);
    let taken = begun.elapsed();
    assert!(taken < timeout * 7 / 4, "{taken:?}: a timeout of its own for the head");
}

#[test]
fn a_port_for_http2_alone() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin).in_proxy("downstream_protocol", json!("Http2")));
    assert_eq!(H2Client::connect(proxy.address()).get("/").status(), 200);
    let mut old = proxy.connect();
    old.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let said = old.read_until_close();
    assert!(!said.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&said));
    assert_eq!(origin.count(), 1);
}

/// RFC 9113 has dropped it; Java's clients offer it.
#[test]
fn an_offer_to_upgrade_is_passed_over() {
    let origin = Origin::echo();
    let said = Said::new();
    let proxy = Proxy::start(&said.in_config(config(&origin)));
    let offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n";
    for request in [
        format!("GET /offer HTTP/1.1\r\nHost: a\r\n{offer}\r\n"),
        format!("POST /offer HTTP/1.1\r\nHost: a\r\n{offer}Content-Length: 4\r\n\r\nbody"),
    ] {
        let mut wire = proxy.connect();
        wire.send(&request);
        assert_eq!(wire.response().status(), 200);
        let seen = origin.last();
        assert!(!seen.head.has("upgrade") && !seen.head.has("http2-settings"), "{:?}", seen.head);
        // The connection goes on as it was.
        wire.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(wire.response().status(), 200);
    }
    assert!(said.of("/offer").starts_with("HTTP/1.1"));
}

/// Whoever filters sees the client's protocol.
#[test]
fn requests_of_many_streams_at_once() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin));
    let client = H2Client::connect(proxy.address());
    let mut open: Vec<_> =
        (0..50).map(|number| client.open_for_body(&Call::post(&format!("/{number}"), "")).unwrap()).collect();
    for (number, stream) in open.iter_mut().enumerate().rev() {
        stream.send(format!("body {number}")).unwrap();
        stream.finish().unwrap();
        assert_eq!(stream.message().unwrap().json()["body"], format!("body {number}"));
    }
    assert_eq!(origin.count(), 50);
}
