//! Answers to whole bodies before all of them was sent.

use serde_json::{Value, json};
use sidegate_harness::{Call, ConfigBuilder, Origin, Proxy};

use super::await_log;
use super::streaming::entry;

const BODY: usize = 900_000;

fn start(origin: &Origin, streaming: Value) -> Proxy {
    Proxy::start(&ConfigBuilder::to(origin.address()).filter(entry("raw", streaming, json!({}))))
}

fn post(fault: &str) -> Call {
    Call::post("/", vec![b'x'; BODY]).header("x-fault", fault)
}

#[test]
fn the_rest_of_a_body_that_is_answered_already_is_not_sent() {
    let origin = Origin::echo();
    let proxy = start(&origin, json!({"request_body": "whole", "window": 16384}));
    assert_eq!(proxy.call(&post("early")).status(), 200);
    let seen = origin.last();
    assert_eq!((seen.body.as_slice(), seen.head.get("content-length")), (b"early".as_slice(), Some("5")));
    // A window's worth, and no more.
    await_log(&proxy, "early: 16384 bytes came");
    let answer = proxy.call(&post("early-reply"));
    assert_eq!((answer.status(), answer.text().as_str()), (413, "enough"));
    assert_eq!(origin.count(), 1);
}

#[test]
fn an_early_answer_counts_also_while_pieces_are_under_way() {
    let origin = Origin::echo();
    // All of it may be under way at once.
    let proxy = start(&origin, json!({"request_body": "whole", "window": 4_194_304}));
    for round in 1..=5 {
        assert_eq!(proxy.call(&post("early")).status(), 200);
        assert_eq!(origin.last().body, b"early");
        assert_eq!(proxy.call(&post("early-reply")).status(), 413);
        assert_eq!(origin.count(), round);
    }
    let series = "sidegate_plugin_call_failures_total{plugin=\"sidegate-test-streams\",reason=\"bad_answer\"}";
    assert_eq!(proxy.metric(series).unwrap_or(0.0), 0.0);
}

#[test]
fn chunks_that_are_answered_early_leave_the_window_as_wide_as_it_was() {
    let origin = Origin::echo();
    let proxy = start(&origin, json!({"request_body": "stream", "window": 16384}));
    let mut wire = proxy.connect();
    wire.send("POST / HTTP/1.1\r\nHost: test\r\nx-fault: \r\nTransfer-Encoding: chunked\r\n\r\n");
    // Far more than a window, in chunks of their own.
    for _ in 0..20 {
        wire.send(format!("{:x}\r\n", 40_000)).send(vec![b'x'; 40_000]).send("\r\n");
    }
    assert_eq!(wire.send("0\r\n\r\n").response().status(), 200);
    assert_eq!(origin.last().body.len(), 800_000);
}
