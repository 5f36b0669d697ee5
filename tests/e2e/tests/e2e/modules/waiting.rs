//! Filters that wait and are resumed from a thread of the module.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, ProxyOptions, Signal, until};

use super::{Module, counter};

fn proxy(origin: &Origin, module: &Module) -> Proxy {
    let config = ConfigBuilder::to(origin.address()).filter(module.entry("", &json!({})));
    Proxy::start(&config.timeout("filter_pending", "2s"))
}

#[test]
pub(crate) fn a_resumed_stream_goes_on() {
    let module = Module::compile("resume");
    let origin = Origin::echo();
    let proxy = proxy(&origin, &module);
    for (wait, times) in [("later", "1"), ("early", "1"), ("twice", "1"), ("again", "2")] {
        assert_eq!(proxy.get_with(&format!("/{wait}"), &format!("X-Wait: {wait}\r\n")).status(), 200, "{wait}");
        assert_eq!(origin.last().head.get("x-resumed"), Some(times), "{wait}");
    }
    assert_eq!(proxy.get("/plain").status(), 200);
    assert_eq!(origin.last().head.get("x-resumed"), None);
    // later 1, early 1, twice 1 of 2, again 2.
    until("the thread's report", || (counter(&proxy, "resume_ok") >= 5).then_some(()));
}

#[test]
pub(crate) fn a_filter_may_reply_when_it_is_resumed() {
    let module = Module::compile("resume");
    let origin = Origin::echo();
    let got = proxy(&origin, &module).get_with("/", "X-Wait: reply\r\n");
    assert_eq!((got.status(), got.text().as_str(), origin.count()), (202, "resumed", 0));
}

#[test]
fn a_handle_used_after_the_streams_end_finds_it_gone() {
    let module = Module::compile("resume");
    let origin = Origin::echo();
    let proxy = proxy(&origin, &module);
    assert_eq!(proxy.get_with("/timeout", "X-Wait: stale\r\n").status(), 500);
    until("the late resume", || (counter(&proxy, "resume_gone") == 1).then_some(()));
    // The client leaves first.
    let mut client = proxy.connect();
    client.send("GET /gone HTTP/1.1\r\nHost: a\r\nX-Wait: stale\r\n\r\n");
    client.reset();
    until("the second late resume", || (counter(&proxy, "resume_gone") == 2).then_some(()));
    assert_eq!(proxy.get("/").status(), 200);
    assert_eq!(origin.count(), 1);
}

#[test]
pub(crate) fn a_body_waits_with_its_filter() {
    let module = Module::compile("resume");
    let origin = Origin::echo();
    let proxy = proxy(&origin, &module);
    let body = "b".repeat(100_000);
    for wait in ["later", "again", "early"] {
        let raw =
            format!("POST / HTTP/1.1\r\nHost: a\r\nX-Wait: {wait}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_eq!(proxy.exchange(raw).json()["body_length"], body.len(), "{wait}");
    }
}

#[test]
fn many_streams_wait_at_once() {
    let module = Module::compile("resume");
    let origin = Origin::echo();
    let proxy = proxy(&origin, &module);
    let mut clients: Vec<_> = (0..60).map(|_| proxy.connect()).collect();
    for round in 0..5 {
        for (index, client) in clients.iter_mut().enumerate() {
            let wait = ["later", "early", "twice", "again"][(index + round) % 4];
            client.send(format!("GET /{index} HTTP/1.1\r\nHost: a\r\nX-Wait: {wait}\r\n\r\n"));
        }
        for (index, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.response().json()["target"], format!("/{index}"));
        }
    }
}

/// 10,000 resumes of one wait are borne; after that, and after the pending
/// time, however often it was resumed meanwhile, the filter has a fault.
#[test]
pub(crate) fn a_filter_cannot_wait_for_ever_by_being_resumed() {
    let module = Module::compile("resume");
    let origin = Origin::echo();
    let proxy = proxy(&origin, &module);
    assert_eq!(proxy.get_with("/", "X-Wait: self\r\nX-Times: 10000\r\n").status(), 200);
    assert_eq!(origin.last().head.get("x-resumed"), Some("10000"));
    for wait in ["self", "poll"] {
        assert_eq!(proxy.get_with("/", &format!("X-Wait: {wait}\r\n")).status(), 500, "{wait}");
    }
    assert_eq!((proxy.get("/").status(), origin.count()), (200, 2));
    let log = proxy.logs();
    assert!(log.contains("was still pending after 10000 resumes"), "{log}");
    assert!(log.contains("was pending for longer than filter_pending allows"), "{log}");
}

#[test]
fn filters_that_resume_themselves_do_not_take_the_worker() {
    let module = Module::compile("resume");
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).filter(module.entry("", &json!({})));
    let proxy = Proxy::start_with(&config, &ProxyOptions { workers: Some(1), ..ProxyOptions::default() });
    let mut restless: Vec<_> = (0..8).map(|_| proxy.connect()).collect();
    let mut neighbour = proxy.connect();
    for round in 0..5 {
        for client in &mut restless {
            client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Wait: self\r\n\r\n");
        }
        for request in 0..20 {
            assert_eq!(
                neighbour.send(format!("GET /{round}/{request} HTTP/1.1\r\nHost: a\r\n\r\n")).response().status(),
                200
            );
        }
        for client in &mut restless {
            assert_eq!(client.response().status(), 500);
        }
    }
}

#[test]
fn a_drain_waits_for_a_filter_that_waits() {
    let module = Module::compile("resume");
    let origin = Origin::echo();
    let mut proxy = proxy(&origin, &module);
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Wait: stale\r\n\r\n");
    until("the stream", || {
        let modules = proxy.admin_get("/api/v1/modules").json();
        (modules["modules"][0]["streams"] == 1).then_some(())
    });
    proxy.signal(Signal::TERM);
    assert_eq!(client.response().status(), 500, "nobody resumes it, so its own timeout ends it");
    drop(client);
    assert_eq!(proxy.wait_exit().code(), Some(0));
}
