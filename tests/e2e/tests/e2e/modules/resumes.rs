//! The races of `Pending` and resume, in every hook, from threads of a module.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply, Signal, WireError, until};

use super::{counter, probe};
use crate::support::{assert_same_bytes, chunked, pattern};

const HOOKS: [&str; 6] =
    ["request_headers", "request_body", "request_trailers", "response_headers", "response_body", "response_trailers"];

fn config(origin: &Origin) -> ConfigBuilder {
    ConfigBuilder::to(origin.address()).filter(probe("wait", &json!({})))
}

fn request(hook: &str, how: &str) -> Vec<u8> {
    let head = format!(
        "POST /{hook}/{how} HTTP/1.1\r\nHost: a\r\nX-Wait-In: {hook}\r\nX-Wait: {how}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let mut raw = head.into_bytes();
    raw.extend(chunked(&pattern(100_000), 9_999, "X-Sum: 7\r\n"));
    raw
}

fn origin() -> Origin {
    Origin::http(|_| Reply::ok(pattern(70_000)).chunked().trailer("X-End", "1"))
}

/// What resumes were answered.
fn answers(proxy: &Proxy, answer: &str) -> u64 {
    let page = proxy.admin_get("/stats/prometheus").text();
    let label = format!("answer=\"{answer}\"");
    let line = page.lines().find(|line| line.contains("wait_answers_total{") && line.contains(&label));
    line.expect("that series").rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() as u64
}

#[test]
fn every_hook_may_wait_and_each_accepted_resume_continues_once() {
    let origin = origin();
    let proxy = Proxy::start(&config(&origin));
    let mut client = proxy.connect();
    for hook in HOOKS {
        for how in ["early", "later", "double", "crowd", "again"] {
            let got = client.send(request(hook, how)).response_to("POST");
            assert_eq!((got.status(), got.trailer("x-end")), (200, Some("1")), "{hook} {how}");
            assert_same_bytes(&got.body, &pattern(70_000));
            let seen = origin.last();
            assert_same_bytes(&seen.body, &pattern(100_000));
            assert_eq!(seen.trailers, [("x-sum".to_owned(), "7".to_owned())], "{hook} {how}");
        }
    }
    // A resume that was accepted is one `on_resume`; all others did nothing.
    until("the threads' reports", || (answers(&proxy, "ok") == counter(&proxy, "wait_resumed_total")).then_some(()));
    assert!(answers(&proxy, "ok") >= 5 * 6, "{}", answers(&proxy, "ok"));
    until("late answers", || (answers(&proxy, "already") + answers(&proxy, "gone") >= 8 * 6).then_some(()));
    assert_eq!(answers(&proxy, "other"), 0);
}

#[test]
fn many_streams_race_their_resumes() {
    let origin = origin();
    let proxy = Proxy::start(&config(&origin));
    let mut clients: Vec<_> = (0..24).map(|_| proxy.connect()).collect();
    for round in 0..6 {
        for (index, client) in clients.iter_mut().enumerate() {
            let how = ["early", "later", "double", "crowd"][(index + round) % 4];
            client.send(request(HOOKS[index % HOOKS.len()], how));
        }
        for client in &mut clients {
            assert_same_bytes(&client.response_to("POST").body, &pattern(70_000));
        }
    }
    until("the threads' reports", || (answers(&proxy, "ok") == counter(&proxy, "wait_resumed_total")).then_some(()));
    assert_eq!(answers(&proxy, "other"), 0);
}

#[test]
fn clients_that_leave_within_the_race_leave_nothing_behind() {
    let origin = origin();
    let proxy = Proxy::start(&config(&origin));
    for round in 0..30 {
        let mut client = proxy.connect();
        let raw = request(HOOKS[round % HOOKS.len()], ["later", "crowd"][round % 2]);
        // Cut anywhere: in the head, in the body, or not at all.
        let _ = client.try_send(&raw[..raw.len() * (round % 10 + 1) / 10]);
        client.reset();
    }
    until("the end of all filters", || {
        let modules = proxy.admin_get("/api/v1/modules").json();
        (modules["modules"][0]["streams"] == 0).then_some(())
    });
    assert_eq!(proxy.exchange(request("request_headers", "later")).status(), 200);
    assert_eq!(answers(&proxy, "other"), 0);
}

#[test]
fn a_request_body_that_waits_stops_the_client() {
    /// More than the sockets on the way and the proxy hold.
    const TOTAL: usize = 96 << 20;
    let origin = Origin::echo();
    let proxy = Proxy::start(&config(&origin).timeout("filter_pending", "60s"));
    let mut client = proxy.connect();
    let before = proxy.resident_bytes();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nX-Wait-In: request_body\r\nX-Wait: hold\r\nContent-Length: {TOTAL}\r\n\r\n"
    ));
    let piece = vec![b'p'; 64 << 10];
    let sent = client.send_until_stalled(&piece, TOTAL, std::time::Duration::from_millis(700));
    assert!(sent < TOTAL / 2, "the proxy took {sent} bytes for a filter that waits");
    assert_eq!(counter(&proxy, "wait_held"), 1);
    let grown = proxy.resident_bytes().saturating_sub(before);
    assert!(grown < 12 << 20, "the proxy grew by {grown} bytes");
    assert_eq!(proxy.get_with("/release", "X-Release: 1\r\n").status(), 200);
    let mut left = TOTAL - sent;
    while left > 0 {
        let now = left.min(piece.len());
        client.send(&piece[..now]);
        left -= now;
    }
    assert_eq!(client.response_to("POST").json()["body_length"], TOTAL);
}

#[test]
fn a_response_body_that_waits_stops_the_origin() {
    const TOTAL: usize = 96 << 20;
    let origin = Origin::http(|seen| match seen.head.target() {
        "/large" => Reply::ok(vec![b'r'; TOTAL]),
        _ => Reply::ok("small"),
    });
    let proxy = Proxy::start(&config(&origin).timeout("filter_pending", "60s"));
    let before = proxy.resident_bytes();
    let mut client = proxy.connect();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\nX-Wait-In: response_body\r\nX-Wait: hold\r\n\r\n");
    until("the filter to wait", || (counter(&proxy, "wait_held") == 1).then_some(()));
    for _ in 0..20 {
        // Others go on, and give the proxy every chance to read more than it should.
        assert_eq!(proxy.get("/small").text(), "small");
    }
    let grown = proxy.resident_bytes().saturating_sub(before);
    assert!(grown < 12 << 20, "the proxy grew by {grown} bytes");
    assert_eq!(proxy.get_with("/release", "X-Release: 1\r\n").text(), "small");
    assert_same_bytes(&client.response().body, &vec![b'r'; TOTAL]);
}

#[test]
fn a_wait_that_is_over_answers_gone_and_a_pending_body_times_out() {
    for hook in HOOKS {
        let origin = origin();
        let proxy = Proxy::start(&config(&origin).timeout("filter_pending", "200ms"));
        let mut client = proxy.connect();
        client.send(request(hook, "hold"));
        match client.try_response("POST") {
            Ok(got) => assert_eq!(got.status(), 500, "{hook}"),
            // The head was sent already: then the body is seen to be cut.
            Err(WireError::Truncated { .. } | WireError::Closed | WireError::Reset) => {
                assert!(hook.starts_with("response"), "{hook}");
            }
            Err(other) => panic!("{hook}: {other:?}"),
        }
        assert_eq!(proxy.get_with("/release", "X-Release: 1\r\n").status(), 200, "{hook}");
        assert_eq!((answers(&proxy, "ok"), answers(&proxy, "gone")), (0, 1), "{hook}");
        assert_eq!(counter(&proxy, "wait_resumed_total"), 0, "{hook}");
    }
}

#[test]
fn handles_outlive_the_workers() {
    let origin = origin();
    let config = config(&origin).timeout("filter_pending", "60s").in_server("graceful_timeout", json!("300ms"));
    let mut proxy = Proxy::start(&config);
    let mut clients: Vec<_> = (0..8).map(|_| proxy.connect()).collect();
    for (client, hook) in clients.iter_mut().zip(HOOKS.iter().cycle()) {
        client.send(request(hook, "end"));
    }
    // All eight wait; those of responses have been upstream first.
    let waiting = || proxy.admin_get("/api/v1/modules").json()["modules"][0]["streams"] == 8;
    until("the streams", || waiting().then_some(()));
    proxy.signal(Signal::TERM);
    let status = proxy.wait_exit();
    assert_eq!(status.code(), Some(0), "{}", proxy.logs());
    let logs = proxy.logs();
    assert!(logs.matches("late resume: Err(Gone)").count() >= 6, "{logs}");
    assert!(!logs.contains("late resume: Ok"), "no stream is left to resume: {logs}");
}
