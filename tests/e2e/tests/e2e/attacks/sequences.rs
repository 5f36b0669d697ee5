//! Several requests on one connection, one of them bad.

use sidegate_harness::{ConfigBuilder, Origin, Proxy, WireError};

use crate::support::echo_pair;

#[test]
fn nothing_after_a_refused_request_is_read_as_a_request() {
    let (origin, proxy) = echo_pair();
    for (what, bad) in [
        ("bad host", "GET /bad HTTP/1.1\r\nHost: a,b\r\n\r\n"),
        ("bad length", "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"),
        ("bad chunk", "POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        ("bad version", "GET /bad HTTP/3.0\r\nHost: a\r\n\r\n"),
    ] {
        let mut client = proxy.connect();
        client.send(format!("GET /good HTTP/1.1\r\nHost: a\r\n\r\n{bad}GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.response().json()["target"], "/good", "{what}");
        let refusal = client.response();
        assert!([400, 505].contains(&refusal.status()), "{what}: {}", refusal.status());
        client.expect_close();
    }
    assert!(origin.seen().iter().all(|seen| seen.head.target() != "/hidden"));
}

#[test]
fn a_request_that_ends_early_is_not_forwarded_as_whole() {
    let (origin, proxy) = echo_pair();
    for raw in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n",
    ] {
        let mut client = proxy.connect();
        client.send(raw).shutdown_write();
        match client.try_response("POST") {
            Ok(got) => assert_eq!(got.status(), 400, "{raw:?}"),
            Err(WireError::Closed | WireError::Reset) => {}
            Err(other) => panic!("{raw:?}: {other}"),
        }
    }
    origin.wait("the end of all connections that lost their request", |origin| origin.open_connections() == 0);
    assert!(origin.seen().iter().all(|seen| !seen.complete), "{:?}", origin.seen());
}

#[test]
fn a_body_that_looks_like_a_request_is_a_body() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let inner = "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n";
    for target in ["/", "/unread"] {
        let mut client = proxy.connect();
        client.send(format!(
            "GET {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{inner}GET /outer HTTP/1.1\r\nHost: a\r\n\r\n",
            inner.len()
        ));
        let first = client.response();
        if first.status() == 200 {
            assert_eq!(first.json()["body"], inner);
            assert_eq!(client.response().json()["target"], "/outer");
        }
    }
    assert!(origin.seen().iter().all(|seen| seen.head.target() != "/inner"));
}

#[test]
fn a_locally_answered_body_is_skipped_or_the_connection_closed() {
    let origin = Origin::echo();
    let routes = serde_json::json!([
        {"match": {"prefix": "/direct"}, "direct_response": {"status": 403}},
        {"match": {"prefix": "/"}, "route": {"cluster_name": "origin"}}
    ]);
    let proxy = Proxy::start(&ConfigBuilder::to_routes(origin.address(), routes));
    let inner = "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n";
    let chunked = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    for (framing, body) in
        [(format!("Content-Length: {}", inner.len()), inner), ("Transfer-Encoding: chunked".to_owned(), &chunked)]
    {
        let mut client = proxy.connect();
        client.send(format!("POST /direct HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}"));
        client.send("GET /outer HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status(), 403);
        match client.try_response("GET") {
            Ok(next) => assert_eq!(next.json()["target"], "/outer"),
            Err(WireError::Closed | WireError::Reset) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(origin.seen().iter().all(|seen| seen.head.target() != "/inner"));
}
