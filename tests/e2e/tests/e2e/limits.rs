//! Bounds on what a client may send, and what it sees at them.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, WireError};

use crate::support::chunked;

fn with_body_limit(origin: &Origin) -> Proxy {
    Proxy::start(
        &ConfigBuilder::to(origin.address())
            .in_proxy("extend_config", json!({"Http1": {"max_header_size": 4096, "max_request_body_size": 1000}})),
    )
}

#[test]
fn a_head_above_the_default_limit_is_431() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let got = proxy.get_with("/fits", &format!("X-Long: {}\r\n", "a".repeat(7000)));
    assert_eq!(got.status(), 200);
    for (what, fields) in [
        ("one long field", format!("X-Long: {}\r\n", "a".repeat(9000))),
        ("one long name", format!("{}: a\r\n", "a".repeat(9000))),
        ("many fields", (0..90).map(|n| format!("X-{n}: {}\r\n", "a".repeat(100))).collect()),
        ("too many fields", (0..101).map(|n| format!("x{n}: a\r\n")).collect()),
    ] {
        let mut client = proxy.connect();
        client.send(format!("GET /large HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(client.response().status(), 431, "{what}");
        client.expect_close();
    }
    assert_eq!(origin.count(), 1);
    let line = proxy.access_line("431", |line| line.status == 431);
    assert!(line.has("TL"), "{line:?}");
}

#[test]
fn a_request_line_above_the_limit_is_414() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(100_000)));
    assert_eq!(client.response().status(), 414);
    client.expect_close();
    assert_eq!(origin.count(), 0);
    let line = proxy.access_line("414", |line| line.status == 414);
    assert!(line.has("TL"), "{line:?}");
}

#[test]
fn a_method_of_100_kilobytes_is_refused() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send(format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(100_000)));
    let status = client.response().status();
    assert!([400, 414, 431, 501].contains(&status), "{status}");
    client.expect_close();
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_flood_of_fields_is_answered_though_the_client_never_pauses() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    // Code that runs for the first time is memory too, and not what is measured.
    assert_eq!(proxy.get("/").status(), 200);
    assert_eq!(proxy.get_with("/", &format!("X: {}\r\n", "x".repeat(9000))).status(), 431);
    let before = proxy.resident_bytes();
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    let piece: String = (0..1000).map(|n| format!("X-{n}: flood\r\n")).collect();
    for _ in 0..50 {
        if client.try_send(&piece).is_err() {
            break;
        }
    }
    assert_eq!(client.response().status(), 431, "the answer must not be lost to a reset");
    assert!(proxy.resident_bytes().saturating_sub(before) < 4 << 20);
}

#[test]
fn a_body_above_the_limit_is_413() {
    let origin = Origin::echo();
    let proxy = with_body_limit(&origin);
    for raw in [
        format!("POST /fits HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{}", "b".repeat(1000)).into_bytes(),
        [
            &b"POST /fits HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
            &chunked(&[b'b'; 1000], 300, ""),
        ]
        .concat(),
    ] {
        assert_eq!(proxy.exchange(raw).status(), 200);
    }

    let before = origin.count();
    let mut client = proxy.connect();
    client.send("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    assert_eq!(client.response().status(), 413, "known from the head alone");
    client.expect_close();
    assert_eq!(origin.count(), before, "so nothing is sent upstream");

    let mut client = proxy.connect();
    client.send("POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let _ = client.try_send(chunked(&[b'b'; 5000], 500, ""));
    assert_eq!(client.response().status(), 413);
    client.expect_close();
    assert!(origin.seen()[before..].iter().all(|seen| !seen.complete), "a request that was cut must not look whole");
    let line = proxy.access_line("413", |line| line.path == "/chunked");
    assert!(line.status == 413 && line.has("TL"), "{line:?}");
}

#[test]
fn limits_of_the_configuration_hold() {
    let origin = Origin::echo();
    let proxy = with_body_limit(&origin);
    assert_eq!(proxy.get_with("/", &format!("X: {}\r\n", "a".repeat(3500))).status(), 200);
    assert_eq!(proxy.get_with("/", &format!("X: {}\r\n", "a".repeat(4500))).status(), 431);

    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).limit("max_headers", 5));
    assert_eq!(proxy.get_with("/", "A: 1\r\nB: 1\r\nC: 1\r\n").status(), 200);
    assert_eq!(proxy.get_with("/", "A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\n").status(), 431);
}

#[test]
fn a_chunk_extension_is_bounded_and_not_forwarded() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let got = proxy.exchange(format!("{head}3;name=value;q=\"quoted\"\r\nabc\r\n0\r\n\r\n"));
    // The origin reads strictly, so a forwarded extension would have failed there.
    assert_eq!((got.status(), &got.json()["body"]), (200, &json!("abc")));
    let before = origin.count();
    let mut client = proxy.connect();
    let _ = client.try_send(format!("{head}3;x={}\r\nabc\r\n0\r\n\r\n", "e".repeat(100_000)));
    assert_eq!(client.response().status(), 400);
    // Many small ones are as expensive as a large one.
    let mut client = proxy.connect();
    let _ = client.try_send(head);
    let chunk = format!("1;{}\r\na\r\n", "e".repeat(200));
    for _ in 0..20_000 {
        if client.try_send(&chunk).is_err() {
            break;
        }
    }
    client.shutdown_write();
    match client.try_response("POST") {
        Ok(got) => assert_eq!(got.status(), 400),
        Err(WireError::Reset | WireError::Closed | WireError::Truncated { .. }) => {}
        Err(other) => panic!("{other}"),
    }
    assert!(origin.seen()[before..].iter().all(|seen| !seen.complete));
}

#[test]
fn trailers_are_bounded() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n");
    let trailers: String = (0..2000).map(|n| format!("X-{n}: {}\r\n", "t".repeat(50))).collect();
    let _ = client.try_send(trailers);
    let _ = client.try_send("\r\n");
    let status = client.response().status();
    assert!([400, 413, 431].contains(&status), "{status}");
    client.expect_close();
    assert!(origin.seen().iter().all(|seen| !seen.complete));
}
