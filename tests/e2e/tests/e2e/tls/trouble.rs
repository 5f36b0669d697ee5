//! Clients that mean no good, and certificates that are none.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply, Wire, sidegate};

use super::{Ca, With, dial, failed, with};

fn start(ca: &Ca, origin: &Origin, listener: &[(&str, Value)]) -> Proxy {
    let mut config = ConfigBuilder::to(origin.address()).in_chain("tls_context", ca.context("a.test"));
    for (key, value) in listener {
        config = config.in_listener(key, value.clone());
    }
    Proxy::start(&config)
}

#[test]
fn what_is_no_tls_ends_the_connection_and_nothing_else() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let proxy = start(&ca, &origin, &[]);
    for bytes in
        [&b"\x00\x00\x00\x00\x00\x00"[..], b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", b"\x16\x03\x01\xff\xff\xff\xff"]
    {
        let mut wire = Wire::connect(proxy.address());
        wire.send(bytes);
        let answer = wire.read_until_close();
        // An alert at most: nothing in clear text.
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    }
    failed(&proxy, With::Clients, "protocol");
    assert_eq!(origin.count(), 0);
    let mut client = dial(&ca.client(&[]), proxy.address(), "a.test");
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut status = [0; 12];
    client.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
}

#[test]
fn plain_http_is_told_to_use_tls() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let proxy = start(&ca, &origin, &[]);
    let large = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{}", "x".repeat(1_000_000));
    for request in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /secret HTTP/1.0\r\n\r\n", &large] {
        let mut wire = Wire::connect(proxy.address());
        wire.send(request);
        let answer = wire.response();
        assert_eq!(answer.status(), 400);
        assert!(answer.text().contains("speaks TLS") && !answer.text().contains("secret"), "{}", answer.text());
        wire.expect_close();
    }
    failed(&proxy, With::Clients, "clear_text");
    assert_eq!(origin.count(), 0);
}

#[test]
fn half_a_hello_ends_with_its_connection() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let config = ConfigBuilder::to(origin.address()).in_chain("tls_context", ca.context("a.test"));
    // Checks of load balancers look like this, so that it is no news.
    let config = config.in_server("default_log_level", json!("DEBUG"));
    let mut hello = Vec::new();
    let mut client = rustls::ClientConnection::new(ca.client(&[]), "a.test".try_into().unwrap()).unwrap();
    client.write_tls(&mut hello).unwrap();
    for cut in [0, 1, 5, 6, hello.len() / 2, hello.len() - 1] {
        let proxy = Proxy::start(&config);
        let mut wire = Wire::connect(proxy.address());
        wire.send(&hello[..cut]).shutdown_write();
        wire.expect_close();
        failed(&proxy, With::Clients, "truncated");
    }
}

#[test]
fn half_a_handshake_is_waited_for_only_so_long() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let proxy = start(&ca, &origin, &[("tls_handshake_timeout", json!("300ms"))]);
    for bytes in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"] {
        let mut wire = Wire::connect(proxy.address());
        wire.send(bytes);
        wire.expect_close();
    }
    failed(&proxy, With::Clients, "timeout");
}

#[test]
fn a_client_without_end_is_told_when_its_connection_ends() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let proxy = start(&ca, &origin, &[("connection_idle_timeout", json!("300ms"))]);
    let mut client = dial(&ca.client(&[]), proxy.address(), "a.test");
    client.sock.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // 0: close_notify came; without it rustls says UnexpectedEof.
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn bad_certificates_are_told_by_check() {
    let (ca, other, origin) = (Ca::new("ca"), Ca::new("other"), Origin::http(|_| Reply::ok("x")));
    let dir = sidegate_harness::TempDir::new();
    let mixed = with(ca.context("a.test"), json!({"private_key": other.context("a.test")["private_key"]}));
    let unread = with(ca.context("a.test"), json!({"cert_chain": "nowhere.pem"}));
    let unasked = with(ca.context("a.test"), json!({"verify_client": true}));
    for (context, expected) in [
        (mixed, "private_key: the key does not belong to the certificate of \"CN=a.test\""),
        (unread, "cert_chain: cannot read "),
        (unasked, "verify_client: whom to believe is not said"),
    ] {
        let config = ConfigBuilder::to(origin.address()).in_chain("tls_context", context);
        let file = dir.write("c.json", config.build(dir.path()).to_string());
        let outcome = sidegate([Path::new("check"), Path::new("-c"), &file]);
        assert_ne!(outcome.code, Some(0));
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("BEGIN"), "{said}");
    }
}
