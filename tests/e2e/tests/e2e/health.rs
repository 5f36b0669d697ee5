//! Hosts that are left out: by active checks, and for their answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply, until};

use crate::support::refusing_address;

/// An origin with a name whose `/health` and other paths answer with statuses
/// that the test changes.
struct Moody {
    origin: Origin,
    health: Arc<AtomicU16>,
    other: Arc<AtomicU16>,
}

impl Moody {
    fn new(name: &'static str) -> Self {
        let (health, other) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicU16::new(200)));
        let statuses = (health.clone(), other.clone());
        let origin = Origin::http(move |seen| {
            let status = if seen.head.target() == "/health" { &statuses.0 } else { &statuses.1 };
            Reply::new(status.load(Ordering::SeqCst)).body(name)
        });
        Moody { origin, health, other }
    }

    fn address(&self) -> SocketAddr {
        self.origin.address()
    }
}

/// Everything goes to a cluster of these hosts with more keys.
pub(crate) fn config(hosts: &[SocketAddr], keys: Value) -> ConfigBuilder {
    let mut config = ConfigBuilder::to_routes(hosts[0], json!([])).virtual_host(
        "main",
        &["test"],
        json!([{"match": {"prefix": "/"}, "route": {"cluster_name": "many"}}]),
    );
    config = config.cluster("many", hosts);
    for (key, value) in keys.as_object().unwrap() {
        config = config.in_cluster(key, value.clone());
    }
    config
}

/// Who answered each of `count` requests.
pub(crate) fn answers(proxy: &Proxy, count: usize) -> Vec<String> {
    (0..count).map(|_| String::from_utf8(proxy.get("/").body).unwrap()).collect()
}

fn metric(proxy: &Proxy, name: &str) -> Option<f64> {
    let text = String::from_utf8(proxy.admin_get("/metrics").body).unwrap();
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// The hosts of cluster `many`, as the admin interface shows them.
pub(crate) fn hosts(proxy: &Proxy) -> Vec<Value> {
    let dump: Value = serde_json::from_slice(&proxy.admin_get("/api/v1/config_dump?cluster=many").body).unwrap();
    dump["health"].as_array().unwrap_or_else(|| panic!("no health in {dump}")).clone()
}

pub(crate) fn http_check() -> Value {
    json!({
        "service_name": "s",
        "protocol": "Http1",
        "interval": "20ms",
        "timeout": "5s",
        "check_config": {"http_check_config": {"path": "/health"}},
    })
}

#[test]
fn a_host_whose_checks_fail_is_left_out_until_they_pass() {
    let (a, b) = (Moody::new("a"), Moody::new("b"));
    let mut check = http_check();
    let log = sidegate_harness::TempDir::new();
    check["event_log_path"] = json!(log.join("events.log"));
    let proxy = Proxy::start(&config(&[a.address(), b.address()], json!({"health_check": check})));
    a.health.store(503, Ordering::SeqCst);
    until("a is out", || (hosts(&proxy)[0]["failed_check"] == true).then_some(()));
    assert_eq!(answers(&proxy, 6), ["b"; 6]);
    assert_eq!(metric(&proxy, "healthcheck_healty{service=\"s\"}"), Some(1.0));
    assert!(metric(&proxy, "healthcheck_active_failure{service=\"s\"}").unwrap() >= 1.0);

    a.health.store(200, Ordering::SeqCst);
    until("a is back", || (hosts(&proxy)[0]["healthy"] == true).then_some(()));
    let after = answers(&proxy, 8);
    assert!(after.contains(&"a".to_owned()) && after.contains(&"b".to_owned()), "{after:?}");
    assert_eq!(metric(&proxy, "healthcheck_healty{service=\"s\"}"), Some(2.0));
    let events = until("two events", || {
        let text = std::fs::read_to_string(log.join("events.log")).unwrap_or_default();
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (events.len() == 2).then_some(events)
    });
    assert_eq!((&events[0]["healthy"], &events[0]["reason"]), (&json!(false), &json!("status 503")));
    assert_eq!((&events[1]["healthy"], &events[1]["host"]), (&json!(true), &json!(a.address().to_string())));
}

#[test]
fn checks_are_requests_as_configured() {
    let a = Moody::new("a");
    let mut check = http_check();
    check["check_config"]["http_check_config"] =
        json!({"path": "/up?x=1", "method": "HEAD", "domain": "d.example", "codes": [{"Start": 200, "End": 204}]});
    let _proxy = Proxy::start(&config(&[a.address()], json!({"health_check": check})));
    a.origin.wait("a check", |origin| origin.count() > 0);
    let head = a.origin.seen()[0].head.clone();
    assert_eq!((head.method(), head.target(), head.get("host")), ("HEAD", "/up?x=1", Some("d.example")));
    assert!(head.get("user-agent").unwrap().starts_with("sidegate/"));
}

/// Nothing listens on one of the two; it is found out before a request is lost
/// there.
#[test]
fn connects_are_checked_too_and_502_with_uh_is_what_is_left() {
    let check = json!({"service_name": "s", "interval": "20ms", "unhealthy_threshold": 2});
    let keys = json!({"health_check": check, "healthy_panic_threshold": 0});
    let proxy = Proxy::start(&config(&[refusing_address()], keys));
    until("the host is out", || (hosts(&proxy)[0]["failed_check"] == true).then_some(()));
    assert_eq!(proxy.get("/gone").status(), 502);
    assert!(proxy.access_line("no host", |line| line.path == "/gone").has("UH"));
    assert!(metric(&proxy, "healthcheck_network_failure{service=\"s\"}").unwrap() >= 2.0);
}

#[test]
fn with_too_few_hosts_well_all_are_used_until_enough_are_back() {
    let moody = ["a", "b", "c", "d"].map(Moody::new);
    let proxy = Proxy::start(&config(&moody.each_ref().map(Moody::address), json!({"health_check": http_check()})));
    let active = "upstream_lb_panic_active{cluster=\"many\"}";
    let used = |proxy: &Proxy| {
        let mut names = answers(proxy, 16);
        names.sort();
        names.dedup();
        names.concat()
    };
    let out = |count: usize| {
        until("hosts are out", || {
            (hosts(&proxy).iter().filter(|host| host["failed_check"] == true).count() == count).then_some(())
        });
    };
    moody[..2].iter().for_each(|host| host.health.store(503, Ordering::SeqCst));
    out(2);
    assert_eq!((used(&proxy).as_str(), metric(&proxy, active)), ("cd", Some(0.0)), "half of them is enough");
    moody[2].health.store(503, Ordering::SeqCst);
    out(3);
    // Without a request: it is told when it begins.
    until("panic", || (metric(&proxy, active) == Some(1.0)).then_some(()));
    assert_eq!(used(&proxy), "abcd");
    assert_eq!(metric(&proxy, "upstream_lb_healthy_panic_total{cluster=\"many\"}"), Some(16.0));
    moody[0].health.store(200, Ordering::SeqCst);
    out(2);
    until("its end", || (metric(&proxy, active) == Some(0.0)).then_some(()));
    assert_eq!(used(&proxy), "ad");
    let logs = proxy.logs();
    let count = |what: &str| logs.lines().filter(|line| line.contains(what)).count();
    assert_eq!((count("panic: too few hosts are well"), count("panic is over")), (1, 1), "{logs}");
}

#[test]
fn a_host_that_answers_badly_is_ejected_and_comes_back() {
    let (a, b) = (Moody::new("a"), Moody::new("b"));
    a.other.store(503, Ordering::SeqCst);
    let ejection = json!({
        "consecutive_5xx": 3,
        "interval": "20ms",
        "base_ejection_time": "1s",
        "max_ejection_percent": 50,
    });
    let proxy = Proxy::start(&config(&[a.address(), b.address()], json!({"outlier_detection": ejection})));
    // In turn: every second request is a's, until it is out.
    until("a is out", || {
        proxy.get("/");
        (hosts(&proxy)[0]["ejected"] == true).then_some(())
    });
    assert_eq!(metric(&proxy, "upstream_ejections_total{cluster=\"many\"}"), Some(1.0));
    a.other.store(200, Ordering::SeqCst);
    until("a is back", || (answers(&proxy, 2).contains(&"a".to_owned())).then_some(()));
    assert_eq!(metric(&proxy, "upstream_ejections_active{cluster=\"many\"}"), Some(0.0));
}

#[test]
fn the_last_host_stays_however_it_answers() {
    let a = Moody::new("a");
    a.other.store(500, Ordering::SeqCst);
    let ejection = json!({"consecutive_5xx": 1, "max_ejection_percent": 100});
    let proxy = Proxy::start(&config(&[a.address()], json!({"outlier_detection": ejection})));
    assert_eq!(answers(&proxy, 5), ["a"; 5]);
    assert_eq!(metric(&proxy, "upstream_ejections_total{cluster=\"many\"}"), Some(0.0));
}

#[test]
fn hosts_that_refuse_connections_are_ejected() {
    let b = Moody::new("b");
    let ejection = json!({"consecutive_5xx": 0, "consecutive_local_origin_failure": 2, "base_ejection_time": "1h", "max_ejection_time": "1h"});
    let proxy = Proxy::start(&config(&[refusing_address(), b.address()], json!({"outlier_detection": ejection})));
    until("the refusing host is out", || {
        // Another host is tried, so that nobody notices.
        assert_eq!(proxy.get("/").body, b"b");
        (hosts(&proxy)[0]["ejected"] == true).then_some(())
    });
}
