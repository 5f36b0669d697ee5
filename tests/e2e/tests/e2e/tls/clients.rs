//! TLS towards clients.

use std::io::{Read, Write};

use serde_json::json;
use sidegate_harness::{ConfigBuilder, CurlAnswer, Origin, Proxy, Reply, TempDir, curl, until};

use super::{Ca, bodies, dial, with};
use crate::support::{assert_same_bytes, pattern};

/// curl to `https://NAME/path`.
pub(super) fn ask(proxy: &Proxy, ca: &str, name: &str, path: &str, more: &[&str]) -> CurlAnswer {
    let port = proxy.address().port();
    let (resolve, url) = (format!("{name}:{port}:127.0.0.1"), format!("https://{name}:{port}{path}"));
    curl(&[&["--cacert", ca, "--resolve", &resolve], more, &[&url]].concat())
}

/// What variables say of the connection.
fn facts() -> serde_json::Value {
    let field = |name: &str, value: &str| json!({"header": {"key": name, "value": value}, "append": false});
    json!([
        field("name", "%requested_server_name%"),
        field("peer", "%tls_peer_subject%"),
        field("scheme", "%scheme%"),
        field("protocol", "%protocol%"),
    ])
}

fn facts_config(origin: &Origin) -> ConfigBuilder {
    ConfigBuilder::to(origin.address())
        .in_proxy("downstream_protocol", json!("Auto"))
        .in_router("request_headers_to_add", facts())
        .in_cluster("upstream_protocol", json!("Http1"))
}

#[test]
fn requests_come_in_over_both_protocols() {
    let (ca, dir, origin) = (Ca::new("ca"), TempDir::new(), Origin::http(|_| Reply::ok("hello")));
    let proxy = Proxy::start(&facts_config(&origin).in_chain("tls_context", ca.context("a.test")));
    let ca = ca.file(&dir);
    for (flag, protocol) in [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2")] {
        for version in ["1.3", "1.2"] {
            let answer = ask(&proxy, &ca, "a.test", "/x", &[flag, "--tls-max", version]);
            assert_eq!((answer.status, &*answer.body, answer.code), (200, "hello", 0), "{flag} {version}");
            let seen = origin.last();
            assert_eq!(seen.head.get("protocol"), Some(protocol), "{flag} {version}");
            assert_eq!(seen.head.get("name"), Some("a.test"));
            assert_eq!(seen.head.get("scheme"), Some("https"));
            assert_eq!(seen.head.get("peer").unwrap_or_default(), "");
        }
    }
}

#[test]
fn a_connection_is_kept_for_many_requests_and_large_bodies() {
    let (ca, origin) = (Ca::new("ca"), bodies());
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).in_chain("tls_context", ca.context("a.test")));
    let mut client = dial(&ca.client(&["http/1.1"]), proxy.address(), "a.test");
    for size in [0, 1, 22, 10_240, 1 << 20] {
        let body = pattern(size);
        write!(client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {size}\r\n\r\n").unwrap();
        client.write_all(&body).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
        let mut got = vec![0; size];
        client.read_exact(&mut got).unwrap();
        assert_same_bytes(&got, &body);
    }
    assert_eq!(client.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
    assert_eq!(origin.count(), 5);
}

#[test]
fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let (ca, dir, origin) = (Ca::new("ca"), TempDir::new(), Origin::http(|_| Reply::ok("x")));
    let contexts = json!([ca.context("a.test"), ca.context("*.b.test")]);
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).in_chain("tls_context_set", contexts));
    let ca = ca.file(&dir);
    assert_eq!(ask(&proxy, &ca, "a.test", "/", &[]).status, 200);
    assert_eq!(ask(&proxy, &ca, "www.b.test", "/", &[]).status, 200);
    let strange = ask(&proxy, &ca, "c.test", "/", &[]);
    assert_eq!((strange.status, strange.code), (0, 60), "curl: the certificate is for another name");
}

#[test]
fn a_connection_that_has_come_to_rest_is_what_it_was() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let proxy = Proxy::start(&facts_config(&origin).in_chain("tls_context", ca.context("a.test")));
    // Ends after a longer silence than it takes to rest.
    let clock = ConfigBuilder::to(origin.address()).in_listener("connection_idle_timeout", json!("1300ms"));
    let clock = Proxy::start(&clock);
    let mut client = dial(&ca.client(&["http/1.1"]), proxy.address(), "a.test");
    for round in 0..2 {
        client.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nx") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let seen = origin.last();
        assert_eq!(seen.head.get("scheme"), Some("https"), "{round}");
        assert_eq!(seen.head.get("name"), Some("a.test"), "{round}");
        let mut wire = clock.connect();
        wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(wire.response().status(), 200);
        wire.expect_close();
    }
}

#[test]
fn one_port_takes_tls_and_clear_text() {
    let (ca, dir, origin) = (Ca::new("ca"), TempDir::new(), Origin::http(|_| Reply::ok("x")));
    let config = facts_config(&origin).in_chain("tls_context", ca.context("a.test"));
    let proxy = Proxy::start(&config.clone().in_listener("inspector", json!(true)));
    assert_eq!(ask(&proxy, &ca.file(&dir), "a.test", "/", &[]).status, 200);
    assert_eq!(origin.last().head.get("scheme"), Some("https"));
    let clear = |proxy: &Proxy, flag: &str| curl(&[flag, &format!("http://{}/", proxy.address())]);
    for flag in ["--http1.1", "--http2-prior-knowledge"] {
        assert_eq!(clear(&proxy, flag).status, 200, "{flag}");
        assert_eq!(origin.last().head.get("scheme"), Some("http"), "{flag}");
    }
    let proxy = Proxy::start(&config);
    assert_eq!(clear(&proxy, "--http1.1").status, 400);
    assert_eq!(origin.count(), 3);
}

#[test]
fn clients_show_who_they_are() {
    let (ca, dir, origin) = (Ca::new("ca"), TempDir::new(), Origin::http(|_| Reply::ok("x")));
    let more = json!({"ca_cert": ca.pem, "verify_client": true, "require_client_cert": true});
    let proxy = Proxy::start(&facts_config(&origin).in_chain("tls_context", with(ca.context("a.test"), more)));
    let file = ca.file(&dir);
    let files = |name: &str, context: &serde_json::Value| {
        let cert = dir.write(format!("{name}.pem"), context["cert_chain"].as_str().unwrap());
        let key = dir.write(format!("{name}.key"), context["private_key"].as_str().unwrap());
        (cert.display().to_string(), key.display().to_string())
    };
    let (cert, key) = files("good", &ca.context("client"));
    assert_eq!(ask(&proxy, &file, "a.test", "/", &["--cert", &cert, "--key", &key]).status, 200);
    assert_eq!(origin.last().head.get("peer"), Some("CN=client"));
    assert_eq!(ask(&proxy, &file, "a.test", "/", &[]).status, 0);
    let (cert, key) = files("bad", &Ca::new("other").context("client"));
    assert_eq!(ask(&proxy, &file, "a.test", "/", &["--cert", &cert, "--key", &key]).status, 0);
    assert_eq!(origin.count(), 1);
    for reason in ["certificate_missing", "unknown_ca"] {
        until(reason, || proxy.logs().contains(reason).then_some(()));
    }
}

#[test]
fn a_reload_changes_the_certificate_and_keeps_connections() {
    let (ca, other, dir) = (Ca::new("ca"), Ca::new("other"), TempDir::new());
    let origin = Origin::http(|_| Reply::ok("x"));
    let config = |ca: &Ca| ConfigBuilder::to(origin.address()).in_chain("tls_context", ca.context("a.test"));
    let mut proxy = Proxy::start(&config(&ca));
    let mut kept = dial(&ca.client(&[]), proxy.address(), "a.test");
    let mut ask_kept = || {
        kept.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
        let mut head = [0; 12];
        kept.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        let mut rest = Vec::new();
        while !rest.ends_with(b"\r\n\r\nx") {
            let mut byte = [0];
            kept.read_exact(&mut byte).unwrap();
            rest.push(byte[0]);
        }
    };
    ask_kept();
    let taken = proxy.reload(&config(&other));
    assert_eq!(taken["unchanged"], json!(false), "{taken:#}");
    assert_eq!(ask(&proxy, &ca.file(&dir), "a.test", "/", &[]).status, 0);
    assert_eq!(ask(&proxy, &other.file(&dir), "a.test", "/", &[]).status, 200);
    ask_kept();
}
