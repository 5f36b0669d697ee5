//! Clients that send what leads nowhere, again and again.

use std::io::{Read, Write};

use rustls::ClientConnection;
use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply, Wire, until};

use super::raw::client;
use super::{Ca, With, dial, failed};

struct Fixture {
    ca: Ca,
    origin: Origin,
    proxy: Proxy,
}

impl Fixture {
    fn new() -> Fixture {
        let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
        let config = ConfigBuilder::to(origin.address())
            .in_chain("tls_context", ca.context("a.test"))
            .in_server("default_log_level", json!("DEBUG"));
        let proxy = Proxy::start(&config);
        Fixture { ca, origin, proxy }
    }

    /// The bytes of a hello.
    fn hello(&self, version: &'static rustls::SupportedProtocolVersion) -> Vec<u8> {
        let config = client(&self.ca.pem, None, version);
        let mut client = ClientConnection::new(config, "a.test".try_into().unwrap()).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        hello
    }

    fn told(&self, reason: &str) {
        failed(&self.proxy, With::Clients, reason);
    }

    /// It still serves.
    fn serves(&self) {
        let mut client = dial(&self.ca.client(&[]), self.proxy.address(), "a.test");
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut status = [0; 12];
        client.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        assert_eq!(self.origin.count(), 1);
    }
}

fn alert(level: u8, description: u8) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, level, description]
}

/// Sends `first`, then `again` until the proxy has had enough.
fn storm(proxy: &Proxy, first: &[u8], again: &[u8]) {
    let mut wire = Wire::connect(proxy.address());
    wire.send(first);
    let many = again.repeat(64);
    // A quarter of a megabyte or more; far less is to be enough.
    let _ = (0..1000).try_for_each(|_| wire.try_send(&many));
    wire.read_until_close();
    // Not because it took too long.
    assert!(!proxy.logs().contains("reason=\"timeout\""), "{again:?} was taken without end");
}

#[test]
fn warnings_without_end_are_an_end() {
    let fixture = Fixture::new();
    let hello = fixture.hello(&rustls::version::TLS12);
    // user_canceled, no_renegotiation; before and after a hello.
    for description in [90, 100] {
        storm(&fixture.proxy, &[], &alert(1, description));
        storm(&fixture.proxy, &hello, &alert(1, description));
    }
    fixture.told("flood");
    storm(&fixture.proxy, &fixture.hello(&rustls::version::TLS13), &alert(1, 90));
    // Alerts that say the end are one, at once.
    storm(&fixture.proxy, &hello, &alert(2, 40));
    fixture.told("alert");
    fixture.serves();
}

#[test]
fn a_client_that_ends_without_a_word_is_counted() {
    let fixture = Fixture::new();
    let counter = "downstream_tls_session_failures_total{listener=\"main\",reason=\"truncated\"}";
    fixture.serves();
    until(counter, || (fixture.proxy.metric(counter) == Some(1.0)).then_some(()));
    // One that says so is none.
    let mut client = dial(&fixture.ca.client(&[]), fixture.proxy.address(), "a.test");
    client.conn.complete_io(&mut client.sock).unwrap();
    client.conn.send_close_notify();
    client.conn.complete_io(&mut client.sock).unwrap();
    let _ = client.read_to_end(&mut Vec::new());
    assert_eq!(fixture.proxy.metric(counter), Some(1.0));
}

#[test]
fn records_with_nothing_in_them_are_no_pastime() {
    let fixture = Fixture::new();
    for (first, again) in [
        // Changes of the cipher, of which one is allowed for middleboxes.
        (fixture.hello(&rustls::version::TLS13), vec![0x14, 3, 3, 0, 1, 1]),
        (fixture.hello(&rustls::version::TLS12), vec![0x14, 3, 3, 0, 1, 1]),
        (Vec::new(), vec![0x14, 3, 3, 0, 1, 1]),
        (Vec::new(), vec![0x16, 3, 1, 0, 0]),
        (fixture.hello(&rustls::version::TLS13), vec![0x17, 3, 3, 0, 0]),
        // A hello after a hello.
        (fixture.hello(&rustls::version::TLS13), fixture.hello(&rustls::version::TLS13)),
    ] {
        storm(&fixture.proxy, &first, &again);
    }
    fixture.serves();
}

#[test]
fn new_keys_without_end_are_an_end() {
    let fixture = Fixture::new();
    let mut client = dial(&fixture.ca.client(&[]), fixture.proxy.address(), "a.test");
    client.conn.complete_io(&mut client.sock).unwrap();
    let mut ended = false;
    for _ in 0..10_000 {
        client.conn.refresh_traffic_keys().unwrap();
        if client.conn.write_tls(&mut client.sock).is_err() {
            ended = true;
            break;
        }
    }
    assert!(ended, "keys were changed without end");
    drop(client);
    let counter = "downstream_tls_session_failures_total{listener=\"main\",reason=\"flood\"}";
    until(counter, || (fixture.proxy.metric(counter) == Some(1.0)).then_some(()));
    fixture.serves();
}
