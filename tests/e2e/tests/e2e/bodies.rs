//! Bodies, trailers, HEAD and 100-continue.

use std::sync::Arc;

use sidegate_harness::{ConfigBuilder, Framing, Origin, Proxy, Reply, WireError};

use crate::support::{assert_same_bytes, chunked, echo_pair, pattern};

const LARGE: usize = 10 << 20;

#[test]
fn a_large_upload_arrives_whole_in_both_framings() {
    let origin = Origin::http(|_| Reply::new(204));
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let body = pattern(LARGE);
    let mut client = proxy.connect();
    client.send(format!("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n")).send(&body);
    assert_eq!(client.response().status(), 204);
    assert_eq!(origin.last().framing, Framing::Length(LARGE as u64), "a known length is passed on");
    assert_same_bytes(&origin.last().body, &body);

    client
        .send("POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        .send(chunked(&body, 70_000, ""));
    assert_eq!(client.response().status(), 204);
    assert_eq!(origin.last().framing, Framing::Chunked);
    assert_same_bytes(&origin.last().body, &body);
}

#[test]
fn a_large_download_arrives_whole_in_all_framings() {
    let body = Arc::new(pattern(LARGE));
    let served = body.clone();
    let origin = Origin::scripted(move |connection| {
        loop {
            let seen = connection.request()?;
            match seen.head.target() {
                "/length" => connection.reply(&Reply::ok(served.to_vec()))?,
                "/chunked" => connection.reply(&Reply::ok(served.to_vec()).chunked())?,
                _ => {
                    connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").send(&*served);
                    return Ok(());
                }
            }
        }
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    for target in ["/length", "/chunked", "/close"] {
        let got = proxy.get(target);
        assert_eq!(got.status(), 200, "{target}");
        assert_same_bytes(&got.body, &body);
        match target {
            "/length" => assert_eq!(got.framing, Framing::Length(LARGE as u64)),
            "/chunked" => assert_eq!(got.framing, Framing::Chunked),
            _ => assert!(matches!(got.framing, Framing::Chunked | Framing::UntilClose), "{:?}", got.framing),
        }
    }
}

#[test]
fn a_chunked_upload_in_tiny_chunks_arrives_whole() {
    let origin = Origin::http(|_| Reply::new(204));
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let body = pattern(20_000);
    let got = {
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").send(chunked(&body, 1, ""));
        client.response()
    };
    assert_eq!(got.status(), 204);
    assert_same_bytes(&origin.last().body, &body);
}

#[test]
fn body_bytes_are_forwarded_before_the_body_is_complete() {
    let origin = Origin::scripted(|connection| {
        let head = connection.head()?;
        assert_eq!(connection.read_exact(3)?, b"abc");
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nxyz");
        assert_eq!(connection.read_exact(3)?, b"def");
        connection.send("uvw");
        assert_eq!(head.get("content-length"), Some("6"));
        Ok(())
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    let head = client.read_head().unwrap();
    assert_eq!((head.status(), client.read_exact(3).unwrap()), (200, b"xyz".to_vec()));
    client.send("def");
    assert_eq!(client.read_exact(3).unwrap(), b"uvw");
}

#[test]
fn trailers_pass_both_ways_announced_or_not() {
    let origin = Origin::http(|seen| {
        let got = seen.trailers.iter().map(|(name, value)| format!("{}={value};", name.to_lowercase()));
        Reply::ok(got.collect::<String>()).trailer("X-Checksum", "77")
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    for announce in ["", "Trailer: X-Sum\r\n"] {
        let mut client = proxy.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n{announce}Transfer-Encoding: chunked\r\n\r\n"
        ));
        client.send(chunked(b"body", 4, "X-Sum: 42\r\n"));
        let got = client.response();
        assert_eq!((got.status(), got.text().as_str()), (200, "x-sum=42;"), "{announce:?}");
        assert_eq!(got.trailer("x-checksum"), Some("77"), "{announce:?}");
    }
}

#[test]
fn trailers_never_carry_framing_routing_or_credentials() {
    let origin = Origin::http(|_| Reply::ok("x").trailer("Set-Cookie", "a=b").trailer("X-Fine", "1"));
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).adding_nothing());
    for name in
        ["Host", "Content-Length", "Transfer-Encoding", "Authorization", "Cookie", "X-Forwarded-For", "Connection"]
    {
        let before = origin.count();
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(chunked(b"body", 4, &format!("{name}: 7\r\nX-Good: 1\r\n")));
        let got = client.response();
        if got.status() == 400 {
            assert!(origin.seen()[before..].iter().all(|seen| !seen.complete), "{name}: refused, yet forwarded");
            continue;
        }
        assert_eq!(got.status(), 200, "{name}");
        let seen = origin.last();
        assert_eq!(seen.trailers, [("x-good".to_owned(), "1".to_owned())], "{name}");
        assert_eq!(seen.head.all("host"), ["a"], "{name} was merged into the head");
        assert_eq!(got.trailers, [("x-fine".to_owned(), "1".to_owned())], "towards the client");
    }
}

#[test]
fn head_answers_have_a_length_and_no_body() {
    let origin = Origin::http(|_| Reply::ok("12345"));
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    let got = client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").response_to("HEAD");
    assert_eq!((got.status(), got.header("content-length")), (200, Some("5")));
    // A body sent all the same would be read as the next response.
    let got = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response();
    assert_eq!(got.text(), "12345");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn answers_without_body_stay_so() {
    let origin = Origin::http(|seen| Reply::new(seen.head.target()[1..].parse().unwrap()).header("ETag", "\"1\""));
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    for status in [204, 304, 204] {
        let got = client.send(format!("GET /{status} HTTP/1.1\r\nHost: a\r\n\r\n")).response();
        assert_eq!((got.status(), got.header("etag")), (status, Some("\"1\"")));
        assert!(!got.head.has("transfer-encoding"), "{:?}", got.head);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_100_continue_reaches_the_client_before_its_body() {
    let origin = Origin::scripted(|connection| {
        let head = connection.head()?;
        if head.get("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            connection.send("HTTP/1.1 100 Continue\r\n\r\n");
        }
        let seen = connection.finish(head)?;
        connection.reply(&Reply::ok(seen.body))
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.read_head().unwrap().start, "HTTP/1.1 100 Continue");
    let got = client.send("body").response();
    assert_eq!((got.status(), got.text().as_str(), got.interim.len()), (200, "body", 0));
}

#[test]
fn an_early_final_answer_spares_the_body() {
    let origin = Origin::scripted(|connection| {
        connection.head()?;
        connection.reply(&Reply::new(401).header("X-Early", "1"))?;
        // Whatever comes now is no request.
        match connection.read_some() {
            Ok(bytes) => panic!("the proxy sent {:?} after a refused expectation", String::from_utf8_lossy(&bytes)),
            Err(WireError::Timeout) => panic!("the proxy keeps a connection whose request never ended"),
            Err(_) => Ok(()),
        }
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let got = client.response();
    assert_eq!((got.status(), got.interim.as_slice(), got.header("x-early")), (401, &[][..], Some("1")));
    // The client may not send the body any more; what it sends next must not become a request whose start was body.
    let _ = client.try_send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    let rest = client.read_until_close();
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&rest));
    assert_eq!(origin.count(), 1);
}

#[test]
pub(crate) fn an_unknown_expectation_is_417_or_passed_on() {
    let (origin, proxy) = echo_pair();
    let got = proxy.get_with("/", "Expect: something-else\r\n");
    match got.status() {
        417 => assert_eq!(origin.count(), 0),
        status => assert_eq!((status, origin.last().head.get("expect")), (200, Some("something-else"))),
    }
}

#[test]
fn other_interim_answers_do_not_disturb() {
    let origin = Origin::scripted(|connection| {
        loop {
            connection.request()?;
            connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n");
            connection.reply(&Reply::ok("final"))?;
        }
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    for _ in 0..2 {
        let got = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response();
        assert_eq!((got.status(), got.text().as_str()), (200, "final"));
    }
    // HTTP/1.0 knows no interim answers.
    let got = proxy.connect().send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").response();
    assert_eq!((got.status(), got.interim.len()), (200, 0));
}

#[test]
fn an_early_answer_reaches_a_client_that_still_sends() {
    let origin = Origin::scripted(|connection| {
        connection.head()?;
        connection.reply(&Reply::new(403).body("no").close())?;
        // Reads on without an end, as servers do for a while.
        loop {
            connection.read_some()?;
        }
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").send(vec![b'x'; 1000]);
    let got = client.response();
    assert_eq!((got.status(), got.text().as_str()), (403, "no"));
    let _ = client.try_send(vec![b'x'; 1000]);
    let _ = client.try_send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    client.shutdown_write();
    client.expect_close();
    assert_eq!(origin.count(), 1);
}
