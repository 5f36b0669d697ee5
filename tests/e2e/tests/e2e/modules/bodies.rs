//! Filters that see, change or refuse bodies.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Framing, Origin, Proxy, Reply, WireError};

use super::{Module, counter, probe};
use crate::support::{assert_same_bytes, chunked};

/// An origin that answers with `the answer`, in the framing that is asked for.
fn origin() -> Origin {
    Origin::http(|seen| match seen.head.target() {
        "/chunked" => Reply::ok("the answer").chunked(),
        "/trailers" => Reply::ok("the answer").trailer("X-End", "1"),
        _ => Reply::ok("the answer"),
    })
}

fn proxy(origin: &Origin, module: &Module, mode: &str, more: &Value) -> Proxy {
    Proxy::start(&ConfigBuilder::to(origin.address()).filter(module.entry(mode, more)))
}

fn post(target: &str, body: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn whole_and_streamed_bodies_are_changed_both_ways() {
    let module = Module::compile("body");
    for mode in ["whole", "stream"] {
        let origin = origin();
        let proxy = proxy(&origin, &module, mode, &json!({}));
        let mut client = proxy.connect();
        for target in ["/length", "/chunked"] {
            let got = client.send(post(target, "hello")).response_to("POST");
            assert_eq!((got.status(), got.text().as_str()), (200, "THE ANSWER!"), "{mode} {target}");
            assert_eq!(origin.last().body, b"HELLO!", "{mode} {target}");
        }
        client.send("POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let got = client.send(chunked(b"hello", 2, "")).response_to("POST");
        assert_eq!((got.text().as_str(), origin.last().body.as_slice()), ("THE ANSWER!", &b"HELLO!"[..]), "{mode}");
    }
}

#[test]
fn trailers_come_after_a_body_that_was_changed() {
    let module = Module::compile("body");
    for mode in ["whole", "stream"] {
        let origin = origin();
        let proxy = proxy(&origin, &module, mode, &json!({}));
        let mut client = proxy.connect();
        client.send("POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let got = client.send(chunked(b"hello", 2, "X-Sum: 7\r\n")).response_to("POST");
        // The module appends its mark to what ends the message; here the trailers do.
        assert_eq!((got.text().as_str(), got.trailer("x-end")), ("THE ANSWER", Some("1")), "{mode}");
        let seen = origin.last();
        assert_eq!(seen.body, b"HELLO", "{mode}");
        assert_eq!(seen.trailers, [("x-sum".to_owned(), "7".to_owned())], "{mode}");
    }
}

#[test]
pub(crate) fn a_large_body_is_changed_chunk_by_chunk() {
    const SIZE: usize = 8 << 20;
    let module = Module::compile("body");
    let large = "abcdefgh".repeat(SIZE / 8);
    let answer = large.clone();
    let origin = Origin::http(move |_| Reply::ok(answer.clone()));
    let proxy = proxy(&origin, &module, "stream", &json!({}));
    let before = proxy.resident_bytes();
    let got = proxy.exchange(post("/", &large));
    let wanted = format!("{}!", large.to_uppercase());
    assert_same_bytes(&got.body, wanted.as_bytes());
    assert_same_bytes(&origin.last().body, wanted.as_bytes());
    let grown = proxy.resident_bytes().saturating_sub(before);
    assert!(grown < 6 << 20, "the proxy grew by {grown} bytes, so it held the body");
}

#[test]
pub(crate) fn observing_changes_nothing() {
    let module = Module::compile("body");
    let origin = origin();
    let proxy = proxy(&origin, &module, "observe", &json!({}));
    let got = proxy.exchange(post("/", "hello"));
    assert_eq!((got.text().as_str(), got.framing), ("the answer", Framing::Length(10)));
    let seen = origin.last();
    assert_eq!((seen.body.as_slice(), seen.framing), (&b"hello"[..], Framing::Length(5)));
    assert_eq!((counter(&proxy, "observed_request"), counter(&proxy, "observed_response")), (5, 10));
}

#[test]
fn a_fault_in_a_body_follows_the_policy_unless_bytes_were_changed() {
    let module = Module::compile("body");
    for (mode, policy, wanted) in [
        ("fault", "reply-500", Some(500)),
        ("fault", "pass", Some(200)),
        ("fault", "reset", None),
        ("fault-late", "reply-500", Some(500)),
        ("fault-late", "pass", None),
    ] {
        let origin = origin();
        let proxy = proxy(&origin, &module, mode, &json!({"on_fault": policy}));
        let mut client = proxy.connect();
        client.send(post("/", "hello"));
        match (client.try_response("POST"), wanted) {
            (Ok(got), Some(status)) => assert_eq!(got.status(), status, "{mode} {policy}"),
            (Err(WireError::Closed | WireError::Reset), None) => {}
            (other, _) => panic!("{mode} {policy}: {other:?}"),
        }
        let whole: Vec<_> = origin.seen().into_iter().filter(|seen| seen.complete).collect();
        match wanted {
            Some(200) => assert_eq!(whole[0].body, b"hello"),
            _ => assert!(whole.is_empty(), "{mode} {policy}: {whole:?}"),
        }
    }
}

#[test]
fn a_reply_may_depend_on_the_body() {
    let module = Module::compile("body");
    let origin = origin();
    let proxy = proxy(&origin, &module, "reply", &json!({}));
    let mut client = proxy.connect();
    let got = client.send(post("/", "hello")).response_to("POST");
    assert_eq!((got.status(), got.text().as_str(), origin.count()), (422, "5", 0));
}

#[test]
fn what_is_too_large_to_be_held_is_413_or_502() {
    let module = Module::compile("body");
    let origin = Origin::http(|seen| match seen.head.target() {
        "/large" => Reply::ok("x".repeat(1001)),
        "/large-chunked" => Reply::ok("x".repeat(1001)).chunked(),
        _ => Reply::ok("y".repeat(900)),
    });
    let config = ConfigBuilder::to(origin.address()).filter(module.entry("whole", &json!({})));
    let proxy = Proxy::start(&config.limit("max_buffered_body", 1000));
    assert_eq!(proxy.exchange(post("/fits", &"z".repeat(900))).status(), 200);
    let before = origin.count();
    assert_eq!(proxy.exchange(post("/request", &"z".repeat(1001))).status(), 413);
    let mut client = proxy.connect();
    client.send("POST /request HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let _ = client.try_send(chunked(&[b'z'; 1001], 100, ""));
    assert_eq!(client.response().status(), 413);
    assert_eq!(origin.count(), before);
    for target in ["/large", "/large-chunked"] {
        let got = proxy.exchange(post(target, "small"));
        assert_eq!(got.status(), 502, "{target}");
        assert!(!got.text().contains('x'), "{target}: part of the body was sent");
    }
    let line = proxy.access_line("413", |line| line.path == "/request");
    assert!(line.has("TL"), "{line:?}");
}

#[test]
fn a_client_that_waits_for_100_is_told_by_the_proxy_if_a_filter_wants_the_body() {
    let module = Module::compile("body");
    let origin = origin();
    let proxy = proxy(&origin, &module, "whole", &json!({}));
    let mut client = proxy.connect();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    // The origin hears nothing before the body is whole, so nobody else could say it.
    assert_eq!(client.read_head().unwrap().status(), 100);
    let got = client.send("hello").response_to("PUT");
    assert_eq!((got.status(), got.text().as_str()), (200, "THE ANSWER!"));
    assert_eq!(origin.last().body, b"HELLO!");
}

#[test]
fn messages_without_body_are_shown_their_empty_end() {
    let module = Module::compile("body");
    let origin = Origin::http(|_| Reply::ok(""));
    for mode in ["whole", "stream"] {
        let proxy = proxy(&origin, &module, mode, &json!({}));
        let mut client = proxy.connect();
        for request in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"]
        {
            let got = client.send(request).response();
            assert_eq!((got.text().as_str(), got.framing), ("!", Framing::Length(1)), "{mode}");
            let seen = origin.last();
            assert_eq!((seen.body.as_slice(), seen.framing), (&b"!"[..], Framing::Length(1)), "{mode}");
        }
        // The proxy's own answers too.
        assert!(proxy.get_with("/", "X-A: 1\r\n").text().ends_with('!'));
    }
    // Guards are asked for each request, and those that only look are not.
    let proxy_with = |mode| proxy(&origin, &module, mode, &json!({}));
    let before = origin.count();
    assert_eq!((proxy_with("reply").get("/").status(), proxy_with("fault").get("/").status()), (422, 500));
    assert_eq!(origin.count(), before);
    assert_eq!(proxy_with("observe").get("/").status(), 200);
    let seen = origin.last();
    assert!(!seen.head.has("content-length") && !seen.head.has("transfer-encoding"), "{seen:?}");
}

/// A filter that takes an interest in the body and leaves it alone.
#[test]
pub(crate) fn what_nobody_touches_is_not_framed() {
    let origin = Origin::echo();
    for hook in ["request_headers", "request_body"] {
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(probe("wait", &json!({}))));
        assert_eq!(proxy.get_with("/", &format!("X-Wait-In: {hook}\r\nX-Wait: early\r\n")).status(), 200);
        let seen = origin.last();
        assert!(!seen.head.has("content-length") && !seen.head.has("transfer-encoding"), "{seen:?}");
    }
}

#[test]
fn answers_without_body_stay_without() {
    let module = Module::compile("body");
    let origin = Origin::http(|seen| match seen.head.method() {
        "HEAD" => Reply::ok("four"),
        _ => Reply::new(seen.head.target()[1..].parse().unwrap()),
    });
    for mode in ["whole", "stream"] {
        let proxy = proxy(&origin, &module, mode, &json!({}));
        let mut client = proxy.connect();
        for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 205), ("HEAD", 200), ("GET", 304)] {
            let raw = format!("{method} /{status} HTTP/1.1\r\nHost: a\r\n\r\n");
            let got = client.send(raw).response_to(method);
            assert_eq!((got.status(), got.text().as_str()), (status, ""), "{mode} {method}");
        }
    }
}
