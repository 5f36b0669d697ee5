//! How names of fields and phrases of statuses are written, and what is
//! tolerated in responses and targets.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Head, Origin, Proxy, Reply};

/// Names of a head's fields, in order.
fn names(head: &Head) -> Vec<&str> {
    head.fields.iter().map(|(name, _)| name.as_str()).collect()
}

/// An origin that answers with fields in an unusual case, and a trailer.
fn shouting() -> Origin {
    Origin::scripted(|connection| {
        loop {
            connection.request()?;
            connection.send(
                "HTTP/1.1 200 OK\r\nX-ID: 1\r\nset-COOKIE: a\r\nDATE: now\r\nTransfer-Encoding: chunked\r\n\r\n\
                 2\r\nok\r\n0\r\nX-SUM: 1\r\n\r\n",
            );
        }
    })
}

#[test]
fn names_in_requests() {
    for (case, expected) in [
        ("lower", ["host", "x-id", "accept", "content-length"]),
        ("title", ["Host", "X-Id", "Accept", "Content-Length"]),
        ("preserve", ["HOST", "X-ID", "accept", "Content-LENGTH"]),
    ] {
        let origin = Origin::echo();
        let config = ConfigBuilder::to(origin.address()).adding_nothing().in_cluster("header_case", json!(case));
        let proxy = Proxy::start(&config);
        let mut client = proxy.connect();
        for _ in 0..2 {
            client.send("POST / HTTP/1.1\r\nHOST: a\r\nX-ID: 1\r\naccept: */*\r\nContent-LENGTH: 2\r\n\r\nok");
            assert_eq!(client.response().status(), 200);
            assert_eq!(names(&origin.last().head), expected, "{case}");
        }
        // What the proxy says by itself, after a request that said it too.
        client.send("POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n");
        assert_eq!(client.response().status(), 200);
        let seen = origin.last();
        assert_eq!(seen.trailers[0].0, if case == "lower" { "x-sum" } else { "X-Sum" });
        assert_eq!(names(&seen.head)[0], if case == "lower" { "host" } else { "Host" });
    }
}

#[test]
fn names_in_responses() {
    for (case, expected, trailer) in [
        ("lower", ["x-id", "set-cookie", "date", "transfer-encoding"], "x-sum"),
        ("title", ["X-Id", "Set-Cookie", "Date", "Transfer-Encoding"], "X-Sum"),
        ("preserve", ["X-ID", "set-COOKIE", "DATE", "Transfer-Encoding"], "X-SUM"),
    ] {
        let origin = shouting();
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).in_proxy("header_case", json!(case)));
        let mut client = proxy.connect();
        for _ in 0..2 {
            let got = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response();
            assert_eq!(names(&got.head), expected, "{case}");
            assert_eq!(got.trailers[0].0, trailer);
        }
        // The proxy's own answers have no other spelling than the usual one.
        let got = client.send("GET / HTTP/1.1\r\nHost: a\r\nX: a\u{1}\r\n\r\n").response();
        assert_eq!(got.status(), 400);
        assert!(names(&got.head).contains(&if case == "lower" { "content-length" } else { "Content-Length" }));
    }
}

#[test]
fn filters_and_routes_see_lower_case_whatever_is_sent() {
    let origin = Origin::echo();
    let routes = json!([
        {"match": {"prefix": "/", "headers": [{"name": "x-id", "value": "1"}]},
         "route": {"cluster_name": "origin", "request_headers_to_add": [{"header": {"key": "x-seen", "value": "%request_header_x-id%"}}]}},
    ]);
    let config = ConfigBuilder::to_routes(origin.address(), routes).in_cluster("header_case", json!("preserve"));
    let proxy = Proxy::start(&config);
    proxy.connect().send("GET / HTTP/1.1\r\nHost: a\r\nX-ID: 1\r\n\r\n").response();
    let seen = origin.last();
    assert_eq!(seen.head.get("x-seen"), Some("1"));
    assert!(names(&seen.head).contains(&"X-Seen"), "{:?}", seen.head);
}

#[test]
fn phrases_and_statuses_pass() {
    let origin = Origin::scripted(|connection| {
        loop {
            let seen = connection.request()?;
            let line = match seen.head.target() {
                "/fine" => "200 Fine",
                "/none" => "200 ",
                "/latin" => "503 \u{c4}rger",
                "/999" => "999 Request denied",
                _ => "600 x",
            };
            connection.send(format!("HTTP/1.1 {line}\r\nContent-Length: 2\r\n\r\nok"));
        }
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    for (path, start, logged) in [
        ("/fine", "HTTP/1.1 200 Fine", 200),
        ("/none", "HTTP/1.1 200 OK", 200),
        ("/latin", "HTTP/1.1 503 Service Unavailable", 503),
        ("/999", "HTTP/1.1 999 Request denied", 999),
        ("/600", "HTTP/1.1 600 x", 600),
    ] {
        let got = client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).response();
        assert_eq!((got.head.start.as_str(), got.text().as_str()), (start, "ok"));
        assert_eq!(proxy.access_line(path, |line| line.path == path).status, logged);
    }
}

#[test]
fn a_phrase_does_not_outlive_its_status() {
    let origin = Origin::http(|_| Reply::new(200).close());
    let config = ConfigBuilder::empty().cluster("main", &[origin.address()]).virtual_host(
        "all",
        &["*"],
        json!([
            {"match": {"prefix": "/here"}, "direct_response": {"status": 200, "body": "here"}},
            {"match": {"prefix": "/"}, "route": {"cluster_name": "main"}},
        ]),
    );
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    let starts =
        ["/", "/here"].map(|path| client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).response().head.start);
    assert_eq!(starts, ["HTTP/1.1 200 Reason", "HTTP/1.1 200 OK"]);
}

#[test]
fn padded_chunk_sizes_of_responses_pass() {
    let origin = Origin::scripted(|connection| {
        loop {
            connection.request()?;
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2   \r\nok\r\n0 \r\n\r\n");
        }
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    for _ in 0..2 {
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().text(), "ok");
    }
    // Never of requests.
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2   \r\nok\r\n0\r\n\r\n");
    assert_eq!(client.response().status(), 400);
}

#[test]
fn bare_line_feeds_of_responses_pass_where_the_cluster_says_so() {
    let answers = [
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\n0\nX-T: 1\n\n",
    ];
    for answer in answers {
        for lenient in [true, false] {
            let origin = Origin::scripted(move |connection| {
                loop {
                    connection.request()?;
                    connection.send(answer);
                }
            });
            let config = ConfigBuilder::to(origin.address()).in_cluster("bare_line_feeds", json!(lenient));
            let proxy = Proxy::start(&config);
            let mut client = proxy.connect();
            for _ in 0..2 {
                let mut connection = if lenient { None } else { Some(proxy.connect()) };
                let client = connection.as_mut().unwrap_or(&mut client);
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                match client.try_response("GET") {
                    Ok(got) if lenient => assert_eq!((got.status(), got.text().as_str()), (200, "ok"), "{answer:?}"),
                    Ok(got) => assert_eq!(got.status(), 502, "{answer:?}"),
                    // The head was in order; the body then breaks off.
                    Err(_) if !lenient && answer.contains("chunked") => {}
                    Err(error) => panic!("{answer:?}: {error}"),
                }
            }
            if lenient {
                assert_eq!(origin.connections(), 1);
            }
        }
    }
}

#[test]
fn numbers_of_fields_have_limits_of_their_own() {
    let origin = Origin::http(|seen| {
        let count = seen.head.target()[1..].parse().unwrap();
        (0..count).fold(Reply::ok("ok"), |reply, number| reply.header(&format!("X-{number}"), "1"))
    });
    let default = Proxy::start(&ConfigBuilder::to(origin.address()));
    let small = Proxy::start(&ConfigBuilder::to(origin.address()).limit("max_response_headers", 10));
    // `Content-Length` is one of them.
    for (proxy, count, status) in [(&default, 255, 200), (&default, 256, 502), (&small, 9, 200), (&small, 10, 502)] {
        assert_eq!(proxy.get(&format!("/{count}")).status(), status, "{count}");
    }
    let line = small.access_line("too many", |line| line.path == "/10");
    assert!(line.has("UPE") && line.details == "too_many_headers", "{line:?}");
    let large = Proxy::start(&ConfigBuilder::to(origin.address()).limit("max_headers", 300));
    let fields: String = (0..299).map(|number| format!("X{number}: 1\r\n")).collect();
    let mut client = large.connect();
    assert_eq!(client.send(format!("GET /1 HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).response().status(), 200);
    assert_eq!(client.send(format!("GET /1 HTTP/1.1\r\nHost: a\r\nY: 1\r\n{fields}\r\n")).response().status(), 431);
}

#[test]
fn raw_utf8_in_a_target() {
    let request = "GET /k\u{e4}se?gr\u{f6}\u{df}e HTTP/1.1\r\nHost: a\r\n\r\n";
    let origin = Origin::scripted(|connection| {
        let head = connection.read_head()?;
        // The harness shows each byte as the character with its number.
        let bytes: Vec<u8> = head.start.chars().map(|c| u8::try_from(c).unwrap()).collect();
        let target = String::from_utf8(bytes).unwrap();
        connection.reply(&Reply::ok(target))
    });
    let config = ConfigBuilder::to(origin.address());
    for (config, status) in [
        (config.clone(), 400),
        (config.clone().in_proxy("target_bytes", json!("lenient")), 200),
        (config.clone().top("compat", json!("mosn")), 200),
        (config.clone().top("compat", json!("off")), 400),
        (config.clone().top("compat", json!("mosn")).in_proxy("target_bytes", json!("strict")), 400),
    ] {
        let proxy = Proxy::start(&config);
        let got = proxy.connect().send(request).response();
        assert_eq!(got.status(), status);
        if status == 200 {
            assert_eq!(got.text(), "GET /k\u{e4}se?gr\u{f6}\u{df}e HTTP/1.1");
        }
    }
}

#[test]
fn a_reply_of_ours_keeps_the_connection_if_the_body_is_there() {
    let config = ConfigBuilder::empty().virtual_host(
        "all",
        &["*"],
        json!([
            {"match": {"prefix": "/"}, "direct_response": {"status": 403, "body": "no"}},
        ]),
    );
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX: y\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
    ] {
        let got = client.send(request).response();
        assert_eq!((got.status(), got.header("connection")), (403, None), "{request:?}");
    }
    // With the next request behind it.
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((client.response().status(), client.response().status()), (403, 403));
    proxy.access_line("the next", |line| line.path == "/next");
    // What is not there is not waited for.
    let got = client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo").response();
    assert_eq!((got.status(), got.header("connection")), (403, Some("close")));
    // Nor is it if it is large.
    let mut client = proxy.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 8 << 20));
    let _ = client.try_send(vec![b'x'; 256 << 10]);
    assert_eq!(client.response().header("connection"), Some("close"));
}

#[test]
fn a_body_that_was_not_passed_on_is_never_the_next_request() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    // Resets what it accepts, at once or after the head.
    let origin = Origin::scripted(|connection| {
        if connection.index % 2 == 1 {
            let _ = connection.read_head();
        }
        connection.abort();
        Ok(())
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    for number in 0..40 {
        let mut client = proxy.connect();
        client.send(format!(
            "POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{smuggled}",
            smuggled.len()
        ));
        assert_eq!(client.response().status(), 502);
        client.send("GET /end HTTP/1.1\r\nHost: a\r\n\r\n");
        let _ = client.try_response("GET");
    }
    proxy.access_line("the last", |line| line.path == "/39");
    let log = proxy.access_log();
    assert!(log.iter().all(|line| line.path != "/smuggled"), "{log:?}");
}

#[test]
fn a_direct_response_without_content_has_none() {
    let answer = |status: u16| json!({"match": {"prefix": format!("/{status}")}, "direct_response": {"status": status, "body": "text"}});
    let config =
        ConfigBuilder::empty().virtual_host("all", &["*"], json!([answer(204), answer(205), answer(304), answer(200)]));
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    for (status, length, body) in [(204, None, ""), (205, Some("0"), ""), (304, None, ""), (200, Some("4"), "text")] {
        let got = client.send(format!("GET /{status} HTTP/1.1\r\nHost: a\r\n\r\n")).response();
        assert_eq!((got.status(), got.header("content-length"), got.text().as_str()), (status, length, body));
        assert_eq!(got.header("transfer-encoding"), None, "{status}");
    }
}

#[test]
fn max_forwards_counts_this_proxy() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    for (method, sent, arrives) in [
        ("OPTIONS", "10", "9"),
        ("TRACE", "1", "0"),
        ("OPTIONS", "x", "x"),
        ("OPTIONS", "99999999999999999999999", "99999999999999999999999"),
        // It is nothing to other methods.
        ("GET", "10", "10"),
        ("GET", "0", "0"),
    ] {
        client.send(format!("{method} /{method} HTTP/1.1\r\nHost: a\r\nMax-Forwards: {sent}\r\n\r\n"));
        assert_eq!(client.response().status(), 200);
        assert_eq!(origin.last().head.get("max-forwards"), Some(arrives), "{method} {sent}");
    }
    let before = origin.count();
    for (method, target, status) in [("OPTIONS", "*", 200), ("OPTIONS", "/end", 200), ("TRACE", "/end", 405)] {
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n"));
        let got = client.response();
        assert_eq!((got.status(), got.header("allow"), got.body.len()), (status, Some("OPTIONS"), 0), "{method}");
    }
    assert_eq!(origin.count(), before);
    let line = proxy.access_line("the last hop", |line| line.path == "/end");
    assert_eq!((line.details.as_str(), line.has("DR")), ("max_forwards", true));
}
