//! TLS towards hosts.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply, until};

use super::{Ca, bodies, with};
use crate::support::{assert_same_bytes, pattern};

/// A proxy that speaks TLS with clients, in front of `origin`.
fn behind(origin: &Origin, context: Value) -> Proxy {
    let config = ConfigBuilder::to(origin.address())
        .in_proxy("downstream_protocol", json!("Auto"))
        .in_cluster("upstream_protocol", json!("Http1"));
    Proxy::start(&config.in_chain("tls_context", context))
}

/// A proxy that sends everything to `host` in TLS.
fn front(host: SocketAddr, context: Value) -> ConfigBuilder {
    ConfigBuilder::to(host).in_cluster("tls_context", with(json!({"status": true}), context))
}

#[test]
fn two_proxies_speak_mutual_tls_in_both_protocols() {
    let (ca, origin) = (Ca::new("ca"), bodies());
    let trust = json!({"ca_cert": ca.pem, "verify_client": true, "require_client_cert": true});
    let back = behind(&origin, with(ca.context("back.test"), trust));
    let own = with(ca.context("front"), json!({"ca_cert": ca.pem, "server_name": "back.test"}));
    for protocol in ["Http1", "Http2"] {
        let config = front(back.address(), own.clone()).in_cluster("upstream_protocol", json!(protocol));
        let proxy = Proxy::start(&config);
        for size in [0, 22, 10_240, 1 << 20] {
            let body = pattern(size);
            let mut wire = proxy.connect();
            wire.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")).send(&body);
            let answer = wire.response();
            assert_eq!(answer.status(), 200, "{protocol} {size}");
            assert_same_bytes(&answer.body, &body);
        }
    }
}

#[test]
fn connections_to_hosts_are_kept() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let back = behind(&origin, ca.context("back.test"));
    let config = front(back.address(), json!({"ca_cert": ca.pem, "server_name": "back.test"}));
    let proxy = Proxy::start_with(&config, &one_worker());
    for _ in 0..20 {
        assert_eq!(proxy.get("/").status(), 200);
    }
    assert_eq!(proxy.metric("upstream_connection_total{cluster=\"origin\"}"), Some(1.0));
}

fn one_worker() -> sidegate_harness::ProxyOptions {
    sidegate_harness::ProxyOptions { workers: Some(1), ..Default::default() }
}

#[test]
fn hosts_that_cannot_be_verified_get_no_request() {
    let (ca, other, origin) = (Ca::new("ca"), Ca::new("other"), Origin::http(|_| Reply::ok("x")));
    let back = behind(&origin, ca.context("back.test"));
    for (context, reason) in [
        (json!({"ca_cert": other.pem, "server_name": "back.test"}), "unknown_ca"),
        (json!({"ca_cert": ca.pem, "server_name": "b.test"}), "wrong_name"),
        // Without a name it is the address.
        (json!({"ca_cert": ca.pem}), "wrong_name"),
        (json!({"verify_certificate_hash": ["00".repeat(32)], "server_name": "back.test"}), "not_pinned"),
    ] {
        let proxy = Proxy::start(&front(back.address(), context.clone()));
        assert_eq!(proxy.get("/").status(), 502, "{context}");
        until(reason, || proxy.logs().contains(reason).then_some(()));
    }
    assert_eq!(origin.count(), 0);
    let skip = front(back.address(), json!({"insecure_skip": true}));
    assert_eq!(Proxy::start(&skip).get("/").status(), 200);
    let names = json!({"ca_cert": ca.pem, "match_typed_subject_alt_names":
        [{"san_type": "DNS", "matcher": {"suffix": ".test"}}]});
    assert_eq!(Proxy::start(&front(back.address(), names)).get("/").status(), 200);
}

#[test]
fn a_reload_changes_whom_to_believe() {
    let (ca, other, origin) = (Ca::new("ca"), Ca::new("other"), Origin::http(|_| Reply::ok("x")));
    let back = behind(&origin, ca.context("back.test"));
    let config = |ca: &Ca| front(back.address(), json!({"ca_cert": ca.pem, "server_name": "back.test"}));
    let mut proxy = Proxy::start_with(&config(&ca), &one_worker());
    assert_eq!(proxy.get("/").status(), 200);
    proxy.reload(&config(&other));
    // The connection that was kept is of another time.
    assert_eq!(proxy.get("/").status(), 502);
    proxy.reload(&config(&ca));
    assert_eq!(proxy.get("/").status(), 200);
}

#[test]
fn one_host_may_speak_clear_text() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("clear")));
    let config = front(origin.address(), json!({"ca_cert": ca.pem, "server_name": "back.test"}))
        .in_cluster("hosts", json!([{"address": origin.address().to_string(), "tls_disable": true}]));
    assert_eq!(Proxy::start(&config).get("/").text(), "clear");
}

#[test]
fn checks_go_as_requests_do() {
    for protocol in ["Http1", "Http2"] {
        let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
        // It speaks nothing else.
        let back = ConfigBuilder::to(origin.address())
            .in_proxy("downstream_protocol", json!(protocol))
            .in_cluster("upstream_protocol", json!("Http1"))
            .in_chain("tls_context", ca.context("back.test"));
        let back = Proxy::start(&back);
        let check = json!({"service_name": "s", "protocol": "Http1", "interval": "100ms", "timeout": "10s",
            "check_config": {"http_check_config": {"path": "/check"}}});
        let config = front(back.address(), json!({"ca_cert": ca.pem, "server_name": "back.test"}))
            .in_cluster("upstream_protocol", json!(protocol))
            .in_cluster("health_check", check);
        let proxy = Proxy::start(&config);
        until("checks", || (proxy.metric("healthcheck_success{service=\"s\"}")? >= 2.0).then_some(()));
        assert_eq!(proxy.metric("healthcheck_failure{service=\"s\"}"), Some(0.0), "{protocol}");
        assert!(origin.seen().iter().all(|seen| seen.head.target() == "/check"));
        assert_eq!(proxy.get("/").status(), 200, "{protocol}");
    }
}
