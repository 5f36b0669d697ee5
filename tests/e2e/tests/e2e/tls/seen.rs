//! What is seen of TLS from outside: series, log lines, variables.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply, TempDir, until};

use super::{Ca, dial, with};

const LISTENER: &str = "listener=\"main\"";

fn lines(file: &std::path::Path, count: usize) -> Vec<Value> {
    let text = until("the lines", || {
        let text = std::fs::read_to_string(file).ok()?;
        (text.ends_with('\n') && text.lines().count() >= count).then_some(text)
    });
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Asks once over a connection of its own.
fn ask(proxy: &Proxy, client: &std::sync::Arc<rustls::ClientConfig>) {
    let mut connection = dial(client, proxy.address(), "a.test");
    connection.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

/// The value of all series whose line has these parts.
fn sum(proxy: &Proxy, parts: &[&str]) -> f64 {
    let page = proxy.admin_get("/metrics").text();
    let lines = page.lines().filter(|line| !line.starts_with('#') && parts.iter().all(|part| line.contains(part)));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn both_sides_are_counted_and_logged() {
    let (ca, dir, origin) = (Ca::new("ca"), TempDir::new(), Origin::http(|_| Reply::ok("x")));
    let back = ConfigBuilder::to(origin.address()).in_cluster("upstream_protocol", json!("Http1"));
    let back = back.in_proxy("downstream_protocol", json!("Auto"));
    let back = Proxy::start(&back.in_chain("tls_context", ca.context("back.test")));
    let names = ["version", "cipher", "group", "alpn", "resumed", "session_reused"];
    let both = names.iter().flat_map(|name| [format!("tls_{name}"), format!("upstream_tls_{name}")]);
    let format: serde_json::Map<_, _> = both.map(|name| (name.clone(), json!(format!("%{name}%")))).collect();
    let log = dir.join("json.log");
    let upstream = json!({"status": true, "ca_cert": ca.pem, "server_name": "back.test"});
    let config = ConfigBuilder::to(back.address())
        .in_cluster("tls_context", upstream)
        .in_cluster("upstream_protocol", json!("Http2"))
        .in_proxy("downstream_protocol", json!("Auto"))
        .in_router(
            "request_headers_to_add",
            json!([{"header": {"key": "tls", "value": "%tls_version% %tls_cipher% %tls_resumed%"}}]),
        )
        .in_chain("tls_context", ca.context("a.test"))
        .in_listener("access_logs", json!([{"log_path": log, "json_format": format}]));
    let proxy = Proxy::start(&config);
    // A session of rustls's client is resumed by the second connection.
    let client = ca.client(&["http/1.1"]);
    ask(&proxy, &client);
    ask(&proxy, &client);
    let seen = origin.last();
    let words: Vec<&str> = seen.head.get("tls").unwrap().split(' ').collect();
    assert!(words[0] == "TLSv1.3" && words[1].starts_with("TLS_") && words[2] == "true", "{words:?}");
    let [first, second]: [Value; 2] = lines(&log, 2).try_into().unwrap();
    assert_eq!((&first["tls_resumed"], &second["tls_resumed"]), (&json!("false"), &json!("true")));
    assert_eq!(second["tls_session_reused"], "true");
    for line in [&first, &second] {
        assert_eq!((&line["tls_version"], &line["tls_alpn"]), (&json!("TLSv1.3"), &json!("http/1.1")));
        assert_eq!((&line["upstream_tls_version"], &line["upstream_tls_alpn"]), (&json!("TLSv1.3"), &json!("h2")));
        assert_eq!(line["upstream_tls_group"], "X25519MLKEM768", "{line:#}");
        assert!(line["upstream_tls_cipher"].as_str().unwrap().starts_with("TLS_AES_"), "{line:#}");
    }
    let shakes = |more: &[&str]| sum(&proxy, &[&["downstream_tls_handshakes_total{", LISTENER], more].concat());
    assert_eq!((shakes(&["resumed=\"false\""]), shakes(&["resumed=\"true\""])), (1.0, 1.0));
    assert_eq!(shakes(&["version=\"TLSv1.3\"", "cipher=\"TLS_"]), 2.0);
    let of_cluster = ["upstream_tls_handshakes_total{", "cluster=\"origin\"", "group=\"X25519MLKEM768\""];
    assert!(sum(&proxy, &of_cluster) >= 1.0);
    let certificates = format!("downstream_tls_connections_total{{{LISTENER},client_certificate=\"none\"}}");
    assert_eq!(proxy.metric(&certificates), Some(2.0));
    assert_eq!(proxy.metric(&format!("downstream_tls_handshakes_active{{{LISTENER}}}")), Some(0.0));
    assert_eq!(proxy.metric("upstream_tls_handshakes_active{cluster=\"origin\"}"), Some(0.0));
}

#[test]
fn clear_text_has_no_series_of_tls() {
    let origin = Origin::http(|_| Reply::ok("x"));
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    assert_eq!(proxy.get("/").status(), 200);
    assert!(!proxy.admin_get("/metrics").text().contains("stream_tls_"));
}

#[test]
fn certificates_of_clients_are_told_apart() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let own = |ca: &Ca| with(ca.context("client"), json!({"ca_cert": ca.pem, "server_name": "a.test"}));
    for (keys, kind) in [
        (json!({"require_client_cert": true}), "unverified"),
        (json!({"verify_client": true, "ca_cert": ca.pem}), "verified"),
    ] {
        let back = ConfigBuilder::to(origin.address());
        let back = Proxy::start(&back.in_chain("tls_context", with(ca.context("a.test"), keys)));
        let proxy = Proxy::start(&ConfigBuilder::to(back.address()).in_cluster("tls_context", own(&ca)));
        assert_eq!(proxy.get("/").status(), 200);
        let series = format!("downstream_tls_connections_total{{{LISTENER},client_certificate=\"{kind}\"}}");
        assert_eq!(back.metric(&series), Some(1.0), "{kind}");
    }
}

#[test]
fn failed_handshakes_are_counted_and_told_of_with_the_peer() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).in_chain("tls_context", ca.context("a.test")));
    let mut plain = TcpStream::connect(proxy.address()).unwrap();
    let from = plain.local_addr().unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let _ = plain.read_to_end(&mut Vec::new());
    let line = until("the line", || {
        let logs = proxy.logs();
        let line = logs.lines().find(|line| line.contains("no TLS session"))?;
        Some(line.to_owned())
    });
    for part in ["clear_text", "main", &from.to_string()] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let failures = format!("downstream_tls_handshake_failures_total{{{LISTENER},reason=\"clear_text\"}}");
    assert_eq!(proxy.metric(&failures), Some(1.0));
    // A flood of them is counted and no flood of lines.
    const MORE: usize = 60;
    for _ in 0..MORE {
        let mut plain = TcpStream::connect(proxy.address()).unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let _ = plain.read_to_end(&mut Vec::new());
    }
    until("all are counted", || (proxy.metric(&failures)? == 1.0 + MORE as f64).then_some(()));
    // Two workers with ten lines each in a period, of which some may have passed.
    let lines = proxy.logs().lines().filter(|line| line.contains("no TLS session")).count();
    assert!(lines <= MORE, "{lines} lines");
}

#[test]
fn a_host_that_is_not_believed_is_counted_with_its_reason() {
    let (ca, other, origin) = (Ca::new("ca"), Ca::new("other"), Origin::http(|_| Reply::ok("x")));
    let back = Proxy::start(&ConfigBuilder::to(origin.address()).in_chain("tls_context", ca.context("back.test")));
    let upstream = json!({"status": true, "ca_cert": other.pem, "server_name": "back.test"});
    let proxy = Proxy::start(&ConfigBuilder::to(back.address()).in_cluster("tls_context", upstream));
    assert_eq!(proxy.get("/").status(), 502);
    let failures = "upstream_tls_handshake_failures_total{cluster=\"origin\",reason=\"unknown_ca\"}";
    assert!(proxy.metric(failures) >= Some(1.0));
    // The other side hears of it.
    let heard = format!("downstream_tls_handshake_failures_total{{{LISTENER},reason=\"alert\"}}");
    until("the alert", || (back.metric(&heard)? >= 1.0).then_some(()));
    until("the line", || proxy.logs().contains("unknown_ca").then_some(()));
}
