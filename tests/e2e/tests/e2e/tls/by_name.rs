//! `auto_sni`: hosts that are spoken to under the names that requests bring.

use rcgen::SanType;
use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, ProxyOptions, Reply, until};

use super::{Ca, with};

/// What a host was asked for, and over which connection.
fn behind(origin: &Origin, contexts: Value) -> Proxy {
    let field = |name: &str, value: &str| json!({"header": {"key": name, "value": value}, "append": false});
    let config = ConfigBuilder::to(origin.address())
        .in_proxy("downstream_protocol", json!("Auto"))
        .in_cluster("upstream_protocol", json!("Http1"))
        .in_router(
            "request_headers_to_add",
            json!([field("asked", "%requested_server_name%"), field("over", "%connection_id%")]),
        );
    Proxy::start(&config.in_chain("tls_context_set", contexts))
}

/// A proxy that sends requests to `back` under their own names.
fn front(back: &Proxy, ca: &Ca, protocol: &str) -> ConfigBuilder {
    ConfigBuilder::to(back.address())
        .in_cluster("upstream_protocol", json!(protocol))
        .in_cluster("tls_context", json!({"status": true, "auto_sni": true, "ca_cert": ca.pem}))
}

fn one_worker() -> ProxyOptions {
    ProxyOptions { workers: Some(1), ..Default::default() }
}

fn ask(proxy: &Proxy, host: &str) -> u16 {
    proxy.exchange(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).status()
}

const PROTOCOLS: [&str; 2] = ["Http1", "Http2"];

#[test]
fn no_connection_carries_a_request_for_another_name() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let back = behind(&origin, json!([ca.context("a.test"), ca.context("b.test")]));
    for protocol in PROTOCOLS {
        let proxy = Proxy::start_with(&front(&back, &ca, protocol), &one_worker());
        let mut over = [None, None];
        for round in 0..6 {
            for (place, names) in [["a.test", "A.TEST:8443"], ["b.test", "b.test."]].into_iter().enumerate() {
                assert_eq!(ask(&proxy, names[round % 2]), 200, "{protocol} {}", names[round % 2]);
                let seen = origin.last().head;
                assert_eq!(seen.get("asked"), Some(names[0]), "{protocol}");
                let connection = seen.get("over").map(str::to_owned);
                let known = over[place].get_or_insert_with(|| connection.clone());
                assert_eq!(*known, connection, "{protocol}: kept for its own name");
            }
        }
        assert_ne!(over[0], over[1], "{protocol}");
        assert_eq!(proxy.metric("upstream_connection_total{cluster=\"origin\"}"), Some(2.0), "{protocol}");
    }
}

#[test]
fn who_is_not_who_was_asked_for_gets_no_request() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let back = behind(&origin, json!([ca.context("a.test")]));
    for protocol in PROTOCOLS {
        // The first failure of a host would take it away.
        let outliers = json!({"consecutive_5xx": 1, "consecutive_gateway_failure": 1, "base_ejection_time": "60s",
            "consecutive_local_origin_failure": 1, "max_ejection_percent": 100});
        let other = behind(&origin, json!([ca.context("a.test")]));
        let hosts = [back.address(), other.address()].map(|host| json!({"address": host.to_string()}));
        let config =
            front(&back, &ca, protocol).in_cluster("outlier_detection", outliers).in_cluster("hosts", json!(hosts));
        let proxy = Proxy::start_with(&config, &one_worker());
        assert_eq!(ask(&proxy, "a.test"), 200, "{protocol}");
        let before = origin.count();
        for _ in 0..3 {
            assert_eq!(ask(&proxy, "c.test"), 502, "{protocol}");
        }
        assert_eq!(origin.count(), before);
        until("wrong_name", || proxy.logs().contains("wrong_name").then_some(()));
        // It is the client who asked for nobody, and the host is as good as before.
        assert_eq!(ask(&proxy, "a.test"), 200, "{protocol}");
        assert_eq!(proxy.metric("upstream_ejections_total{cluster=\"origin\"}"), Some(0.0), "{protocol}");
    }
}

#[test]
fn addresses_are_verified_and_not_asked_for() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let names = vec![SanType::IpAddress("127.0.0.1".parse().unwrap()), SanType::IpAddress("::1".parse().unwrap())];
    let back = behind(&origin, json!([ca.context_of("address", names)]));
    for protocol in PROTOCOLS {
        let proxy = Proxy::start_with(&front(&back, &ca, protocol), &one_worker());
        for host in ["127.0.0.1", "127.0.0.1:80", "[::1]:80"] {
            assert_eq!(ask(&proxy, host), 200, "{protocol} {host}");
            assert_eq!(origin.last().head.get("asked"), None, "{protocol} {host}");
        }
        assert_eq!(ask(&proxy, "127.0.0.2"), 502, "{protocol}");
        // A client of HTTP/1.0 may name nobody: it is the host's address then.
        assert_eq!(proxy.exchange("GET / HTTP/1.0\r\n\r\n").status(), 200, "{protocol}");
        for bad in ["a..b", "-a.test"] {
            assert_eq!(ask(&proxy, bad), 400, "{protocol} {bad}");
        }
    }
}

#[test]
fn names_are_those_that_hosts_see() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let back = behind(&origin, json!([ca.context("a.test")]));
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster_name": "origin", "host_rewrite": "a.test"}}]);
    for protocol in PROTOCOLS {
        let config = ConfigBuilder::to_routes(back.address(), routes.clone())
            .in_cluster("upstream_protocol", json!(protocol))
            .in_cluster("tls_context", json!({"status": true, "auto_sni": true, "ca_cert": ca.pem}));
        let proxy = Proxy::start(&config);
        assert_eq!(ask(&proxy, "elsewhere.test"), 200, "{protocol}");
        let seen = origin.last().head;
        assert_eq!((seen.get("asked"), seen.get("host")), (Some("a.test"), Some("a.test")), "{protocol}");
    }
}

#[test]
fn clients_make_no_more_connections_than_there_is_room_for_names() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let back = behind(&origin, json!([ca.context("*.w.test")]));
    for protocol in PROTOCOLS {
        let proxy = Proxy::start_with(&front(&back, &ca, protocol), &one_worker());
        for place in 0..150 {
            assert_eq!(ask(&proxy, &format!("{place}.w.test")), 200, "{protocol} {place}");
            assert_eq!(origin.last().head.get("asked"), Some(&*format!("{place}.w.test")));
        }
        until("64 names are kept", || {
            (proxy.metric("upstream_connection_active{cluster=\"origin\"}")? <= 64.0).then_some(())
        });
        // The latest are those.
        let over = origin.last().head.get("over").map(str::to_owned);
        assert_eq!(ask(&proxy, "149.w.test"), 200);
        assert_eq!(origin.last().head.get("over").map(str::to_owned), over, "{protocol}");
    }
}

#[test]
fn a_connection_for_one_name_makes_room_for_another() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let back = behind(&origin, json!([ca.context("a.test"), ca.context("b.test")]));
    for protocol in PROTOCOLS {
        let breakers = json!([{"priority": "DEFAULT", "max_connections": 1}]);
        let proxy = Proxy::start(&front(&back, &ca, protocol).in_cluster("circuit_breakers", breakers));
        for _ in 0..3 {
            for host in ["a.test", "b.test"] {
                assert_eq!(ask(&proxy, host), 200, "{protocol} {host}");
                assert_eq!(origin.last().head.get("asked"), Some(host));
            }
        }
    }
}

#[test]
fn checks_ask_for_the_name_that_stands_there() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let back = behind(&origin, json!([ca.context("a.test"), ca.context("checks.test")]));
    let check = json!({"service_name": "s", "protocol": "Http1", "interval": "100ms", "timeout": "10s",
        "check_config": {"http_check_config": {"path": "/check"}}});
    let context = json!({"status": true, "ca_cert": ca.pem, "auto_sni": true, "server_name": "checks.test"});
    let config = ConfigBuilder::to(back.address())
        .in_cluster("tls_context", with(context, json!({})))
        .in_cluster("health_check", check);
    let proxy = Proxy::start(&config);
    until("checks", || (proxy.metric("healthcheck_success{service=\"s\"}")? >= 2.0).then_some(()));
    assert!(origin.seen().iter().all(|seen| seen.head.get("asked") == Some("checks.test")));
    assert_eq!(ask(&proxy, "a.test"), 200);
    assert!(origin.seen().iter().any(|seen| seen.head.get("asked") == Some("a.test")));
}

#[test]
fn copies_go_under_their_own_name() {
    let (ca, origin, main) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")), Origin::http(|_| Reply::ok("main")));
    let back = behind(&origin, json!([ca.context("a.test"), ca.context("b.test")]));
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster_name": "main"},
        "request_mirror_policies": {"cluster": "origin", "percent": 100}}]);
    let config = ConfigBuilder::to_routes(back.address(), routes)
        .in_cluster("tls_context", json!({"status": true, "auto_sni": true, "ca_cert": ca.pem}))
        .cluster("main", &[main.address()]);
    let proxy = Proxy::start_with(&config, &one_worker());
    for (place, host) in ["a.test", "b.test", "a.test"].into_iter().enumerate() {
        assert_eq!(ask(&proxy, host), 200);
        origin.wait("the copy", |origin| origin.count() == place + 1);
        assert_eq!(origin.last().head.get("asked"), Some(host));
    }
}
