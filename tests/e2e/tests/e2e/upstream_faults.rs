//! Origins that break off, lie or send garbage.

use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply, WireError};

/// An origin that answers every request with `raw` and closes.
fn answering(raw: &'static [u8]) -> Origin {
    Origin::scripted(move |connection| {
        connection.request()?;
        connection.send(raw);
        Ok(())
    })
}

#[test]
fn a_body_cut_by_the_origin_is_cut_for_the_client() {
    for (what, raw) in [
        ("length", &b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcde"[..]),
        ("chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"),
        ("inside a chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabcde"),
        ("bad chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nzz\r\n"),
        ("chunk without CRLF", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdeXX0\r\n\r\n"),
    ] {
        let origin = answering(raw);
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
        let mut client = proxy.connect();
        client.send("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n");
        match client.try_response("GET") {
            Err(WireError::Truncated { body }) => assert!(b"abcde".starts_with(&body), "{what}: {body:?}"),
            Ok(got) if got.status() == 502 => {}
            other => panic!("{what}: the client must see that something is missing, got {other:?}"),
        }
        let line = proxy.access_line(what, |line| line.path == "/cut");
        assert!(line.has("UC") || line.has("UPE"), "{what}: {line:?}");
    }
}

#[test]
fn a_reset_in_a_body_without_length_is_no_clean_end() {
    let origin = Origin::scripted(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\n\r\nabcde");
        // The reset must not overtake the bytes.
        connection.expect_silence(std::time::Duration::from_millis(200));
        connection.abort();
        Ok(())
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    match client.try_response("GET") {
        Err(WireError::Truncated { body }) => assert_eq!(body, b"abcde"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_origin_that_says_nothing_is_502() {
    let origin = Origin::scripted(|connection| connection.request().map(|_| ()));
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    let got = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response();
    assert_eq!(got.status(), 502);
    let line = proxy.access_line("502", |line| line.status == 502);
    assert!(line.has("UC"), "{line:?}");
    // The client's connection is none the worse for it.
    assert_eq!(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().status(), 502);
}

#[test]
fn what_is_no_response_is_502() {
    let cases: &[(&str, &[u8])] = &[
        ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"),
        ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ("status of four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
        ("status of letters", b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"),
        ("status below 100", b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"),
        ("wrong version", b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("length and chunked", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ("list of lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab"),
        ("signed length", b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na"),
        ("unknown coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab"),
        ("chunked twice", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ("NUL in a value", b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n"),
        ("bare CR in a value", b"HTTP/1.1 200 OK\r\nX-A: a\rSet-Cookie: b=c\r\nContent-Length: 0\r\n\r\n"),
        ("bare LF", b"HTTP/1.1 200 OK\nX-A: a\nContent-Length: 0\n\n"),
        ("blank before the colon", b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"),
        ("folded line", b"HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
        ("switching unasked", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n"),
    ];
    let mut wrong = Vec::new();
    for (what, raw) in cases {
        let origin = answering(raw);
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
        let mut client = proxy.connect();
        client.send("GET /bad HTTP/1.1\r\nHost: a\r\n\r\n");
        match client.try_response("GET") {
            Ok(got) if got.status() == 502 && !got.head.has("set-cookie") => {
                let line = proxy.access_line(what, |line| line.path == "/bad");
                if !line.has("UPE") {
                    wrong.push(format!("{what}: logged as {line:?}"));
                }
            }
            other => wrong.push(format!("{what}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "not refused:\n{}", wrong.join("\n"));
}

#[test]
pub(crate) fn an_endless_response_head_is_502() {
    let origin = Origin::scripted(|connection| {
        connection.request()?;
        let _ = connection.try_send("HTTP/1.1 200 OK\r\n");
        for number in 0..100_000 {
            if connection.try_send(format!("X-{number}: {:0>80}\r\n", number)).is_err() {
                return Ok(());
            }
        }
        panic!("the proxy reads a head of 9 MB");
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    assert_eq!(proxy.get("/").status(), 502);
}

#[test]
fn a_response_nobody_asked_for_is_given_to_nobody() {
    let origin = Origin::scripted(|connection| {
        loop {
            let seen = connection.request()?;
            let mut bytes = Reply::ok(seen.head.target().to_owned()).to_bytes(false);
            bytes.extend(Reply::ok("poison").to_bytes(false));
            connection.send(bytes);
        }
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    for number in 0..5 {
        let got = client.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")).response();
        assert_eq!(got.text(), format!("/{number}"));
    }
}

#[test]
fn a_body_after_204_or_head_is_given_to_nobody() {
    let origin = Origin::scripted(|connection| {
        loop {
            let seen = connection.request()?;
            match seen.head.target() {
                "/204" => connection.send("HTTP/1.1 204 No\r\nContent-Length: 6\r\n\r\npoison"),
                "/head" => connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"),
                target => connection.send(Reply::ok(target.to_owned()).to_bytes(false)),
            };
        }
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    for (method, target) in [("GET", "/204"), ("GET", "/1"), ("HEAD", "/head"), ("GET", "/2")] {
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let got = client.response_to(method);
        if method == "GET" && target != "/204" {
            assert_eq!((got.status(), got.text().as_str()), (200, target));
        }
    }
}

#[test]
fn trailing_bytes_of_a_lengthed_body_do_not_become_a_response() {
    let origin = Origin::scripted(|connection| {
        loop {
            connection.request()?;
            connection
                .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad");
        }
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    for _ in 0..4 {
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().text(), "ok");
    }
}
