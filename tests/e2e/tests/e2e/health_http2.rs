//! Active checks in HTTP/2.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, H2Error, H2Exchange, H2Origin, Origin, Proxy, Reply, TempDir, code, until};

use crate::health::{answers, config, hosts, http_check};

/// `/health` is never answered.
const SILENT: u16 = 0;
/// Its stream is reset.
const RESET: u16 = 1;

/// A host that speaks HTTP/2 alone, whose `/health` does what the test says,
/// with a status if it is one.
struct Moody {
    origin: H2Origin,
    health: Arc<AtomicU16>,
}

impl Moody {
    fn new(name: &'static str) -> Self {
        Self::with_health(name, 200)
    }

    fn with_health(name: &'static str, health: u16) -> Self {
        let health = Arc::new(AtomicU16::new(health));
        let mood = health.clone();
        let origin = H2Origin::scripted(move |exchange| {
            exchange.finish()?;
            match exchange.seen.head.target() {
                "/health" => answer_check(exchange, mood.load(Ordering::SeqCst)),
                _ => exchange.reply(&Reply::ok(name)),
            }
        });
        Moody { origin, health }
    }

    fn address(&self) -> SocketAddr {
        self.origin.address()
    }

    fn is(&self, health: u16) {
        self.health.store(health, Ordering::SeqCst);
    }
}

fn answer_check(exchange: &mut H2Exchange, mood: u16) -> Result<(), H2Error> {
    match mood {
        SILENT => exchange.wait_reset().map(drop),
        RESET => {
            exchange.reset(code::INTERNAL_ERROR);
            Ok(())
        }
        status => {
            exchange.interim(103, &[])?;
            exchange.reply(&Reply::new(status).body("health"))
        }
    }
}

/// Everything goes to these hosts in HTTP/2.
fn http2(hosts: &[SocketAddr], check: &Value) -> ConfigBuilder {
    config(hosts, json!({"upstream_protocol": "Http2", "health_check": check}))
}

#[track_caller]
fn until_healthy(proxy: &Proxy, position: usize, healthy: bool) {
    until(&format!("host {position} is healthy: {healthy}"), || {
        (hosts(proxy)[position]["healthy"] == healthy).then_some(())
    });
}

#[test]
fn a_host_of_http2_alone_is_left_out_for_what_its_checks_say_and_comes_back() {
    let (a, b) = (Moody::new("a"), Moody::new("b"));
    let log = TempDir::new();
    let mut check = http_check();
    check["event_log_path"] = json!(log.join("events.log"));
    check["timeout"] = json!("1s");
    let proxy = Proxy::start(&http2(&[a.address(), b.address()], &check));
    a.origin.wait("two checks", |origin| origin.seen().iter().filter(|seen| seen.complete).count() > 1);
    assert!(answers(&proxy, 8).contains(&"a".to_owned()), "it is healthy");
    for (mood, reason) in [(503, "status 503"), (RESET, "no response: "), (SILENT, "no answer in time")] {
        a.is(mood);
        until_healthy(&proxy, 0, false);
        assert_eq!(answers(&proxy, 4), ["b"; 4], "{reason}");
        until("why it is out", || {
            let text = std::fs::read_to_string(log.join("events.log")).unwrap_or_default();
            let host = a.address().to_string();
            let mut events = text.lines().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let last = events.find(|event| event["host"] == host)?;
            last["reason"].as_str().is_some_and(|why| why.starts_with(reason)).then_some(())
        });
        a.is(200);
        until_healthy(&proxy, 0, true);
        assert!(answers(&proxy, 8).contains(&"a".to_owned()), "after {reason}");
    }
}

#[test]
fn checks_in_http2_are_requests_as_configured_each_on_a_connection_that_is_closed() {
    let a = Moody::new("a");
    let mut check = http_check();
    check["check_config"]["http_check_config"] = json!({
        "path": "/up?x=1", "method": "HEAD", "domain": "d.example",
    });
    let proxy = Proxy::start(&http2(&[a.address()], &check));
    a.origin.wait("two checks", |origin| origin.count() > 1);
    let seen = a.origin.seen();
    let head = &seen[0].head;
    assert_eq!((head.method(), head.target(), head.get("host")), ("HEAD", "/up?x=1", Some("d.example")));
    assert_eq!((head.get(":scheme"), head.get("connection")), (Some("http"), None));
    assert!(head.get("user-agent").unwrap().starts_with("sidegate/"));
    assert_ne!(seen[0].connection, seen[1].connection);
    drop(proxy);
    a.origin.wait("no connection is left", |origin| origin.open_connections() == 0);
}

/// A body without an end keeps nobody: the head says it all.
#[test]
fn a_body_that_does_not_end_makes_no_check_fail() {
    let endless = H2Origin::scripted(|exchange| {
        exchange.respond(200, &[], false)?;
        exchange.send("more to come")?;
        exchange.wait_reset().map(drop)
    });
    let proxy = Proxy::start(&http2(&[endless.address()], &http_check()));
    endless.wait("resets of checks that were done", |origin| origin.resets().len() > 2);
    assert_eq!(hosts(&proxy)[0]["healthy"], true);
    assert_eq!(endless.resets()[0], code::CANCEL);
}

/// The hosts' health is known elsewhere, in HTTP/1.1.
#[test]
fn a_check_of_hosts_of_http2_may_speak_http1() {
    let a = Moody::new("a");
    let status = Arc::new(AtomicU16::new(200));
    let answer = status.clone();
    let beside = Origin::http(move |_| Reply::new(answer.load(Ordering::SeqCst)));
    let mut check = http_check();
    check["check_config"]["http_check_config"] =
        json!({"path": "/health", "port": beside.address().port(), "codec_client_type": "HTTP1"});
    let proxy = Proxy::start(&http2(&[a.address()], &check));
    beside.wait("a check", |origin| origin.count() > 0);
    assert_eq!(answers(&proxy, 2), ["a"; 2]);
    status.store(500, Ordering::SeqCst);
    until_healthy(&proxy, 0, false);
    status.store(200, Ordering::SeqCst);
    until_healthy(&proxy, 0, true);
    assert_eq!(answers(&proxy, 2), ["a"; 2]);
    assert!(a.origin.seen().iter().all(|seen| seen.head.target() != "/health"), "it is asked elsewhere");
}

#[test]
fn a_check_of_hosts_of_http1_may_speak_http2() {
    let a = Origin::http(|_| Reply::ok("a"));
    let beside = Moody::new("health");
    let mut check = http_check();
    check["check_config"]["http_check_config"] =
        json!({"path": "/health", "port": beside.address().port(), "codec_client_type": "HTTP2"});
    let proxy = Proxy::start(&config(&[a.address()], json!({"health_check": check})));
    beside.origin.wait("a check", |origin| origin.count() > 0);
    beside.is(500);
    until_healthy(&proxy, 0, false);
    beside.is(200);
    until_healthy(&proxy, 0, true);
    assert_eq!(answers(&proxy, 2), ["a"; 2]);
}

/// Its answer to the preface is none in HTTP/2.
#[test]
fn a_host_of_http1_alone_fails_checks_in_http2() {
    let old = Origin::http(|_| Reply::ok("old"));
    let well = Moody::new("well");
    let mut check = http_check();
    check["timeout"] = json!("1h");
    let proxy = Proxy::start(&http2(&[old.address(), well.address()], &check));
    until_healthy(&proxy, 0, false);
    assert_eq!(answers(&proxy, 4), ["well"; 4]);
}

#[test]
fn new_hosts_of_http2_are_checked_before_they_get_a_request() {
    let (well, ill) = (Moody::new("well"), Moody::with_health("ill", 503));
    let mut check = http_check();
    check["interval"] = json!("1h");
    check["unhealthy_threshold"] = json!(3);
    let mut proxy = Proxy::start(&http2(&[well.address()], &check));
    proxy.reload(&http2(&[well.address(), ill.address()], &check));
    assert_eq!(answers(&proxy, 6), ["well"; 6]);
    let known = hosts(&proxy);
    assert_eq!((&known[0]["healthy"], &known[1]["healthy"]), (&json!(true), &json!(false)));
    assert!(ill.origin.seen().iter().all(|seen| seen.head.target() == "/health"));
}
