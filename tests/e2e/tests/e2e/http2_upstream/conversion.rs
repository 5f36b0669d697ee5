//! HTTP/1.1 to HTTP/2 and back.

use serde_json::json;
use sidegate_harness::{Call, ConfigBuilder, H2Client, H2Origin, Origin, Reply};

use super::{start, to};
use crate::support::{assert_same_bytes, pattern, route};

#[test]
fn heads_bodies_and_trailers_go_both_ways() {
    let origin = H2Origin::http(|_| {
        Reply::new(201)
            .header("x-more", "1")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .body("made")
            .trailer("grpc-status", "0")
    });
    let proxy = start(&to(&origin));
    let mut client = proxy.connect();
    client.send(
        "POST /a/b?c=d HTTP/1.1\r\nHost: Some.Host:81\r\nTE: gzip, trailers\r\nConnection: TE, x-hop\r\nX-Hop: 1\r\n\
         Keep-Alive: timeout=5\r\nCookie: a=1; b=2\r\nX-A: 1\r\nX-A: 2\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
         4\r\nsome\r\n5\r\n more\r\n0\r\nX-Sum: 9\r\n\r\n",
    );
    let got = client.response();
    assert_eq!((got.status(), got.text().as_str(), got.header("x-more")), (201, "made", Some("1")));
    assert_eq!(got.head.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(got.trailer("grpc-status"), Some("0"));
    let seen = origin.last();
    assert_eq!((seen.head.method(), seen.head.target(), &seen.body[..]), ("POST", "/a/b?c=d", &b"some more"[..]));
    assert_eq!(seen.head.get(":authority").or(seen.head.get("host")), Some("some.host:81"));
    assert_eq!((seen.head.all("x-a"), seen.head.all("cookie")), (vec!["1", "2"], vec!["a=1; b=2"]));
    assert_eq!(seen.head.get("te"), Some("trailers"));
    for gone in ["connection", "x-hop", "keep-alive", "transfer-encoding", "trailer", "upgrade"] {
        assert!(!seen.head.has(gone), "{gone}");
    }
    assert_eq!(seen.trailers, [("x-sum".to_owned(), "9".to_owned())]);
    // Who does not want trailers does not ask for any.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response();
    assert!(!origin.last().head.has("te"));
}

#[test]
fn statuses_without_a_body_have_none_and_lengths_are_kept() {
    let origin = H2Origin::http(|seen| match seen.head.target() {
        "/204" => Reply::new(204),
        "/304" => Reply::new(304).header("etag", "\"a\""),
        "/empty" => Reply::new(200),
        _ => Reply::ok("12345"),
    });
    let proxy = start(&to(&origin));
    let mut client = proxy.connect();
    for (target, status) in [("/204", 204), ("/304", 304), ("/empty", 200), ("/", 200)] {
        let got = client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).response();
        assert_eq!((got.status(), got.head.has("transfer-encoding")), (status, false), "{target}");
    }
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    let got = client.try_response("HEAD").unwrap();
    assert_eq!((got.status(), got.header("content-length")), (200, Some("5")));
    assert_eq!(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().text(), "12345");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn informational_responses_pass_and_a_go_ahead_is_asked_for() {
    let origin = H2Origin::scripted(|exchange| {
        assert_eq!(exchange.seen.head.get("expect"), Some("100-continue"));
        exchange.interim(103, &[("link", "</a>; rel=preload")])?;
        exchange.interim(100, &[])?;
        exchange.finish()?;
        let length = exchange.seen.body.len().to_string();
        exchange.reply(&Reply::ok(length))
    });
    let proxy = start(&to(&origin));
    let mut client = proxy.connect();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.read_head().unwrap().status(), 103);
    assert_eq!(client.read_head().unwrap().status(), 100);
    assert_eq!(client.send("body").response().text(), "4");
}

#[test]
fn large_bodies_go_both_ways_at_once_and_no_byte_is_lost() {
    let origin = H2Origin::scripted(|exchange| {
        exchange.respond(200, &[], false)?;
        while let Some(data) = exchange.data()? {
            exchange.send(data)?;
        }
        exchange.end()
    });
    let proxy = start(&to(&origin));
    let sent = pattern(3 << 20);
    for call in [Call::post("/", sent.clone()), Call::post("/", sent.clone()).open()] {
        let bytes = call.to_bytes();
        let mut client = proxy.connect();
        let mut writer = client.stream().try_clone().unwrap();
        let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &bytes).unwrap());
        let got = client.response();
        writing.join().unwrap();
        assert_same_bytes(&got.body, &sent);
    }
}

#[test]
fn the_route_says_what_a_host_speaks_and_auto_is_what_the_request_came_in() {
    let (old, new) = (Origin::echo(), H2Origin::echo());
    let routes = json!([
        {"match": {"prefix": "/new"}, "route": {"cluster_name": "new", "upstream_protocol": "Http2"}},
        {"match": {"prefix": "/auto-new"}, "route": {"cluster_name": "new"}},
        {"match": {"prefix": "/"}, "route": {"cluster_name": "old", "upstream_protocol": "Http1"}},
    ]);
    let config = ConfigBuilder::empty()
        .cluster("old", &[old.address()])
        .cluster("new", &[new.address()])
        .virtual_host("all", &["*"], routes)
        .in_proxy("downstream_protocol", json!("Auto"));
    let proxy = start(&config);
    assert_eq!(proxy.get("/new").status(), 200);
    assert_eq!(proxy.get("/old").status(), 200);
    let client = H2Client::connect(proxy.address());
    for path in ["/new", "/auto-new", "/old"] {
        assert_eq!(client.get(path).status(), 200, "{path}");
    }
    assert_eq!((old.count(), new.count()), (2, 3));
}

#[test]
fn a_request_for_another_protocol_is_refused_where_only_http2_is_spoken() {
    let origin = H2Origin::echo();
    let proxy = start(&to(&origin).in_proxy("upgrades", json!(["websocket"])));
    let mut client = proxy.connect();
    client.send(
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n",
    );
    assert_eq!(client.response().status(), 403);
    let line = proxy.access_line("refused", |line| line.path == "/ws");
    assert_eq!(line.details, "upgrade_over_http2");
    assert_eq!(origin.count(), 0);
    assert_eq!(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().status(), 200);
}

#[test]
fn what_only_http1_may_have_in_a_target_is_escaped_and_names_are_rewritten() {
    let origin = H2Origin::echo();
    let config = ConfigBuilder::to_routes(
        origin.address(),
        json!([route("/", json!({"upstream_protocol": "Http2", "host_rewrite": "Inner.Host"}))]),
    );
    let proxy = start(&config);
    let got = proxy.exchange("GET /a<b?c=\"d\" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(got.json()["target"], json!("/a%3Cb?c=%22d%22"));
    let seen = origin.last();
    let authority = seen.head.get(":authority").or(seen.head.get("host"));
    assert!(authority.unwrap().eq_ignore_ascii_case("inner.host"), "{authority:?}");
}
