//! A module that breaks the rules in a running proxy: the stream ends as the
//! policy says, and nothing else does.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, WireError, until};

use super::{Module, counter, faults};

// Statuses of the ABI.
const CONTINUE: u32 = 0;
const STOP: u32 = 1;
const PENDING: u32 = 2;
const TERMINATE: u32 = 3;
const REMATCH_ROUTE: u32 = 4;
const FAULT: u32 = 6;

#[test]
fn a_fault_ends_one_stream_with_500() {
    let hostile = Module::compile("hostile");
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(hostile.entry("status", &json!({}))));
    let mut other = proxy.connect();
    other.send(format!("GET /other HTTP/1.1\r\nHost: a\r\nX-Status: {CONTINUE}\r\n\r\n"));
    assert_eq!(other.response().status(), 200);
    let bad = [FAULT, 7, 99, 0x8000_0000, u32::MAX];
    for status in bad {
        let got = proxy.get_with("/fault", &format!("X-Status: {status}\r\n"));
        assert_eq!(got.status(), 500, "status {status}");
        assert!(!got.text().contains("x-status"), "nothing of the module's inside is shown: {}", got.text());
    }
    assert_eq!(origin.count(), 1, "no faulted request reached the origin");
    let line = proxy.access_line("a fault", |line| line.path == "/fault");
    assert!(line.status == 500 && line.has("FF"), "{line:?}");
    until("the faults in the count", || (faults(&proxy) == Some(bad.len() as u64)).then_some(()));
    other.send(format!("GET /other HTTP/1.1\r\nHost: a\r\nX-Status: {CONTINUE}\r\n\r\n"));
    assert_eq!(other.response().status(), 200, "the other connection lives on");
}

#[test]
fn the_fault_policy_is_followed() {
    let hostile = Module::compile("hostile");
    for (policy, wanted) in [("reply-500", Some(500)), ("pass", Some(200)), ("reset", None)] {
        let origin = Origin::echo();
        let filter = hostile.entry("status", &json!({"on_fault": policy}));
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter));
        let mut client = proxy.connect();
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Status: {FAULT}\r\n\r\n"));
        match (client.try_response("GET"), wanted) {
            (Ok(got), Some(status)) => assert_eq!(got.status(), status, "{policy}"),
            (Err(WireError::Closed | WireError::Reset), None) => {}
            (other, _) => panic!("{policy}: {other:?}"),
        }
        assert_eq!(origin.count(), usize::from(policy == "pass"));
    }
}

#[test]
fn statuses_do_what_they_say() {
    let hostile = Module::compile("hostile");
    let origin = Origin::echo();
    let filter = hostile.entry("status", &json!({}));
    let config = ConfigBuilder::to(origin.address()).filter(filter).timeout("filter_pending", "300ms");
    let proxy = Proxy::start(&config);
    let get = |status: u32| {
        let mut client = proxy.connect();
        client.send(format!("GET /{status} HTTP/1.1\r\nHost: a\r\nX-Status: {status}\r\n\r\n"));
        client.try_response("GET").map(|got| got.status())
    };
    assert_eq!(get(CONTINUE), Ok(200));
    assert_eq!(get(STOP), Ok(200), "without a reply the stream goes on");
    assert!(matches!(get(TERMINATE), Err(WireError::Closed | WireError::Reset)));
    assert_eq!(get(PENDING), Ok(500), "nobody resumes it, so it times out as a fault");
    assert_eq!(get(REMATCH_ROUTE), Ok(500), "there is no route yet to match again");
    let line = proxy.access_line("the terminated stream", |line| line.path == format!("/{TERMINATE}"));
    assert!(line.status == 0 && line.has("FT"), "{line:?}");
    let line = proxy.access_line("the pending stream", |line| line.path == format!("/{PENDING}"));
    assert!(line.has("FF"), "{line:?}");
}

#[test]
fn each_filter_is_destroyed_exactly_once_however_its_stream_ends() {
    let hostile = Module::compile("hostile");
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).filter(hostile.entry("life", &json!({})));
    let proxy = Proxy::start(&config.timeout("filter_pending", "15s"));
    let mut ends = 0;
    for status in [CONTINUE, STOP, TERMINATE, FAULT, 99] {
        for _ in 0..10 {
            let mut client = proxy.connect();
            client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Status: {status}\r\n\r\n"));
            let _ = client.try_response("GET");
            ends += 1;
        }
    }
    // Clients that leave while their filter waits.
    for _ in 0..10 {
        let mut client = proxy.connect();
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Status: {PENDING}\r\n\r\n"));
        ends += 1;
        until("the filter", || (counter(&proxy, "filters_made") == ends).then_some(()));
        client.reset();
    }
    until("every filter's end", || (counter(&proxy, "filters_destroyed") >= ends).then_some(()));
    assert_eq!((counter(&proxy, "filters_made"), counter(&proxy, "filters_destroyed")), (ends, ends));
    assert_eq!(counter(&proxy, "completed"), 20, "on_complete came for each stream that ended with 200");
}

#[test]
fn a_module_may_change_a_whole_body() {
    let hostile = Module::compile("hostile");
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(hostile.entry("body", &json!({}))));
    for framing in
        ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"]
    {
        let got = proxy.exchange(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}"));
        assert_eq!((got.status(), &got.json()["body"]), (200, &json!("bye")), "{framing:?}");
    }
}

#[test]
fn a_body_above_the_buffer_limit_is_413() {
    let hostile = Module::compile("hostile");
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).filter(hostile.entry("body", &json!({})));
    let proxy = Proxy::start(&config.limit("max_buffered_body", 1000));
    let mut client = proxy.connect();
    client.send(format!("POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n{}", "x".repeat(1001)));
    assert_eq!(client.response().status(), 413);
    assert_eq!(origin.count(), 0);
    let line = proxy.access_line("413", |line| line.path == "/big");
    assert!(line.has("TL"), "{line:?}");
}

#[test]
pub(crate) fn a_module_cannot_send_what_http_forbids() {
    let hostile = Module::compile("hostile");
    let origin = Origin::echo();
    // These modes check inside the module that each illegal call was refused, and fault otherwise.
    for mode in ["nulls", "visitor", "alias", "limits"] {
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(hostile.entry(mode, &json!({}))));
        assert_eq!(proxy.get("/").status(), 200, "{mode}");
        let line = proxy.access_line(mode, |line| line.status == 200);
        assert!(line.flags.is_empty(), "{mode}: {line:?}");
    }
    let seen = origin.count();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(hostile.entry("replies", &json!({}))));
    assert_eq!(proxy.get("/").status(), 500, "a refused reply lets nothing pass");
    until("the reason", || proxy.logs().contains("its call `reply` was refused: body: ").then_some(()));
    assert_eq!(origin.count(), seen);
}

#[test]
pub(crate) fn a_fault_message_cannot_forge_log_lines() {
    let hostile = Module::compile("hostile");
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(hostile.entry("encodings", &json!({}))));
    assert_eq!(proxy.get("/").status(), 500);
    proxy.access_line("the fault", |line| line.status == 500);
    let log = until("the fault in the log", || Some(proxy.logs()).filter(|log| log.contains("hostile")));
    assert!(!log.contains('\u{1b}') && log.lines().all(|line| line.starts_with("20")), "{log:?}");
}

#[test]
pub(crate) fn functions_out_of_their_place_are_refused() {
    let module = Module::compile("wrong_phase");
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(module.entry("", &json!({}))));
    let got = proxy.exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!((got.status(), &got.json()["body"]), (200, &json!("hello")));
    assert_eq!((origin.last().head.get("x-phases"), origin.last().head.get("x-wrong")), (Some("seen"), None));
    assert_eq!(proxy.get("/").status(), 200);
    until("the ends of both streams", || {
        (proxy.admin_get("/api/v1/modules").json()["modules"][0]["streams"] == 0).then_some(())
    });
    assert!(counter(&proxy, "checked") > 200, "{} checks", counter(&proxy, "checked"));
    assert_eq!(counter(&proxy, "wrong"), 0, "{}", proxy.logs());
}
