//! `on_complete`: once, before the end of the filter, whatever ended the
//! stream; and quarantine.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, artifact, until};

use super::{counter, entry, faults, probe};
use crate::support::refusing_address;

/// Sends a request that ends as `x-end` says.
fn send(proxy: &Proxy, end: &str) {
    let mut client = proxy.connect();
    client.send(format!("POST /{end} HTTP/1.1\r\nHost: a\r\nX-End: {end}\r\nContent-Length: 5\r\n\r\nhello"));
    if end == "pending" {
        until("the filter", || {
            let modules = proxy.admin_get("/api/v1/modules").json();
            (modules["modules"][0]["streams"] == 1).then_some(())
        });
        return client.reset();
    }
    let _ = client.try_response("POST");
}

#[test]
fn each_stream_is_accounted_for_once() {
    let origin = Origin::http(|_| sidegate_harness::Reply::ok("the answer"));
    let config = ConfigBuilder::to(origin.address()).filter(probe("account", &json!({})));
    let proxy = Proxy::start(&config.timeout("filter_pending", "60s"));
    let ends = [
        ("plain", "status Some(200) by Nobody flags 0 received 5 sent 10 times upstream first completions 1 host true"),
        ("reply", "status Some(418) by Nobody flags 1"),
        ("terminate", "status None by Filter flags 1"),
        ("pending", "status None by Downstream flags 1"),
        ("fault", ""),
    ];
    for (index, &(end, line)) in ends.iter().enumerate() {
        send(&proxy, end);
        until("the filter's end", || (counter(&proxy, "account_destroyed_total") == index as u64 + 1).then_some(()));
        if line.is_empty() {
            continue;
        }
        let of_this = format!("end of /{end}:");
        // The log is written by a thread of its own.
        let logged = until("its line", || proxy.logs().lines().find(|l| l.contains(&of_this)).map(str::to_owned));
        assert!(logged.contains(line), "{end}: {logged}");
    }
    for (end, line) in ends {
        let lines = proxy.logs().matches(&format!("end of /{end}:")).count();
        assert_eq!(lines, usize::from(!line.is_empty()), "{end}: after a fault a filter sees only its end");
    }
    assert_eq!(counter(&proxy, "account_completed_total"), 4);
}

#[test]
fn an_upstream_that_cannot_be_reached_is_accounted_for() {
    let config = ConfigBuilder::to(refusing_address()).filter(probe("account", &json!({})));
    let proxy = Proxy::start(&config);
    send(&proxy, "plain");
    until("the filter's end", || (counter(&proxy, "account_destroyed_total") == 1).then_some(()));
    until("its line", || proxy.logs().contains("end of /plain: status Some(502)").then_some(()));
}

fn panicky(more: &Value) -> Value {
    entry(&artifact("libpanicky.so"), "", more)
}

#[test]
pub(crate) fn too_many_faults_take_a_filter_out_of_service() {
    for (then, wanted) in [("closed", 500), ("bypass", 200)] {
        let origin = Origin::echo();
        let quarantine = json!({"quarantine": {"faults": 3, "within": "60s", "then": then}});
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(panicky(&quarantine)));
        let get = |fields: &str| proxy.get_with("/", fields).status();
        for fault in ["X-Fail: request_headers\r\n", "X-Panic: request_headers\r\n"] {
            assert_eq!((get(fault), get("")), (500, 200), "{then}: the filter works on");
        }
        let quarantined = || counter(&proxy, "module_filters_quarantined");
        assert_eq!(quarantined(), 0, "{then}");
        assert_eq!((get("X-Fail: request_headers\r\n"), quarantined()), (500, 1), "{then}");
        // From now on the module is not asked: it would fail.
        for _ in 0..3 {
            assert_eq!(get("X-Panic: request_headers\r\n"), wanted, "{then}");
            assert_eq!(get(""), wanted, "{then}");
        }
        assert_eq!(faults(&proxy), Some(3), "{then}");
        until("the log line", || proxy.logs().contains("is in quarantine: too many faults").then_some(()));
        until("the end of its filters", || (counter(&proxy, "panicky_alive") == 0).then_some(()));
        if then == "closed" {
            let line = proxy.access_line("a refused stream", |line| line.details == "filter_quarantined");
            assert_eq!(line.status, 500);
        }
    }
}

#[test]
pub(crate) fn each_filter_has_a_quarantine_of_its_own() {
    let origin = Origin::echo();
    let strict = json!({"quarantine": {"faults": 1, "within": "60s", "then": "bypass"}});
    let config = ConfigBuilder::to(origin.address()).filter(panicky(&strict)).filter(panicky(&json!({})));
    let proxy = Proxy::start(&config);
    let get = |fields: &str| proxy.get_with("/", fields).status();
    assert_eq!(get("X-Fail: request_headers\r\n"), 500, "the first filter");
    assert_eq!(get("X-Fail: request_headers\r\n"), 500, "the second, as the first is bypassed");
    assert_eq!((get("X-Fail: request_headers\r\n"), get("")), (500, 200), "and it has no quarantine");
    assert_eq!(faults(&proxy), Some(3));
}
