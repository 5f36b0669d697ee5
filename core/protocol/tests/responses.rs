//! What upstreams may answer, and what of it travels on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod common;

use common::{body, fields, response};
use sidegate_api::{Method, Protocol, ResponseHead};
use sidegate_protocol::http1::{
    BodyError, BodyLength, Decoded, Limits, Persistence, ResponseDecoder, ResponseError, Upgrade,
};

#[test]
fn ambiguous_responses_are_refused() {
    let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(9000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
    for (input, why) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            "content_length_with_transfer_encoding",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", "content_length_differs"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5, 6\r\n\r\n", "content_length_differs"),
        ("HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n", "content_length_invalid"),
        ("HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n", "content_length_invalid"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", "transfer_encoding_unsupported"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: ,chunked\r\n\r\n", "transfer_encoding_unsupported"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "transfer_encoding_repeated",
        ),
        ("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "transfer_encoding_in_http10"),
        ("HTTP/1.1 200 OK\r\nconnection: content-length\r\ncontent-length: 5\r\n\r\n", "connection_names_framing"),
        ("HTTP/1.1 200 OK\na: b\r\n\r\n", "bare_line_feed"),
        ("HTTP/1.1 200 OK\r\na: b\n\r\n", "bare_line_feed"),
        ("HTTP/1.1 200 OK\r\na: b\r\n\n", "bare_line_feed"),
        ("HTTP/1.1 200 OK\r\na: b\rc\r\n\r\n", "header_value_invalid"),
        ("HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n", "header_value_invalid"),
        ("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", "header_name_invalid"),
        ("HTTP/1.1 200 OK\r\na : b\r\n\r\n", "header_name_invalid"),
        ("HTTP/1.1 200 O\0K\r\n\r\n", "status_invalid"),
        ("HTTP/1.1 099 x\r\n\r\n", "status_invalid"),
        ("HTTP/1.1 20 x\r\n\r\n", "status_invalid"),
        ("HTTP/1.1 2000 x\r\n\r\n", "status_invalid"),
        ("HTTP/2.0 200 OK\r\n\r\n", "version_invalid"),
        ("HTTP/1.1 101 Switching Protocols\r\nupgrade: foo\r\n\r\n", "upgrade_not_asked_for"),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", "start_line_invalid"),
        ("<html>", "version_invalid"),
        (&long, "headers_too_large"),
        (&long[..8200], "headers_too_large"),
        (&many, "too_many_headers"),
    ] {
        let refused = response(input.as_bytes(), &Method::Get).map(|(head, ..)| head.status);
        assert_eq!(refused.map_err(|error| error.details), Err(why), "{input}");
    }
}

#[test]
fn framing_and_persistence() {
    use BodyLength::{Chunked, Length, None as NoBody, UntilClose};
    use Persistence::{Close, KeepAlive};
    let (get, head) = (Method::Get, Method::Head);
    for (method, start, field, length, persistence) in [
        (&get, "1.1 200 OK", "content-length: 5", Length(5), KeepAlive),
        (&get, "1.1 200 OK", "content-length: 5, 5", Length(5), KeepAlive),
        (&get, "1.1 200 OK", "content-length: 0", Length(0), KeepAlive),
        (&get, "1.1 200", "transfer-encoding: Chunked", Chunked, KeepAlive),
        (&get, "1.1 200 OK", "transfer-encoding: chunked\r\nconnection: close", Chunked, Close),
        (&get, "1.1 200 OK", "a: b", UntilClose, Close),
        (&get, "1.1 200 OK", "connection: keep-alive", UntilClose, Close),
        (&get, "1.0 200 OK", "content-length: 5", Length(5), Close),
        (&get, "1.0 200 OK", "content-length: 5\r\nconnection: keep-alive", Length(5), KeepAlive),
        (&get, "1.1 204 No Content", "content-length: 5", NoBody, KeepAlive),
        (&get, "1.1 304 Not Modified", "content-length: 5", NoBody, KeepAlive),
        (&get, "1.1 103 Early Hints", "link: </a>", NoBody, KeepAlive),
        (&get, "1.1 100 Continue", "a: b", NoBody, KeepAlive),
        (&head, "1.1 200 OK", "content-length: 5", NoBody, KeepAlive),
        (&head, "1.1 200 OK", "transfer-encoding: chunked", NoBody, KeepAlive),
        (&head, "1.1 200 OK", "a: b", NoBody, KeepAlive),
    ] {
        let input = format!("HTTP/{start}\r\n{field}\r\n\r\n");
        let (head, meta, consumed) = response(input.as_bytes(), method).unwrap();
        assert_eq!((meta.body, meta.persistence, consumed), (length, persistence, input.len()), "{input}");
        assert_eq!(meta.version == Protocol::Http10, start.starts_with("1.0"));
        assert!(!head.headers.contains(b"transfer-encoding") && !head.headers.contains(b"connection"), "{input}");
        let keeps_length = field.contains("content-length") && head.status != 204;
        assert_eq!(head.headers.contains(b"content-length"), keeps_length, "{input}");
    }
}

#[test]
fn fields_of_the_connection_stay_behind() {
    let input = b"HTTP/1.1 200 OK\r\nConnection: x-a, upgrade\r\nX-A: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n\
        Trailer: x\r\nProxy-Connection: close\r\nSet-Cookie: a\r\nX_Forwarded_For: 1\r\nSet-Cookie: b\r\n\r\n";
    let (head, ..) = response(input, &Method::Get).unwrap();
    let cookies = [("set-cookie", "a"), ("set-cookie", "b")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(fields(&head.headers), cookies);
}

#[test]
fn switching_protocols_needs_both_sides() {
    let switch = |fields: &str, upgrade: Upgrade| {
        let text = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n");
        let mut head = ResponseHead::default();
        let mut decoder = ResponseDecoder::new();
        decoder.offer(upgrade);
        let decoded = decoder.decode(text.as_bytes(), &Limits::default(), &Method::Get, &mut head)?;
        assert!(matches!(decoded, Decoded::Complete { meta, .. } if meta.body == BodyLength::None), "{decoded:?}");
        Ok::<_, ResponseError>(fields_of(&head))
    };
    const AGREED: &str = "Connection: Upgrade\r\nUpgrade: foo/1\r\nX: y\r\nContent-Length: 0\r\n";
    assert_eq!(switch(AGREED, Upgrade::Asked), Ok("x=y upgrade=foo/1".to_owned()));
    let refused = |details| Err(ResponseError { details });
    assert_eq!(switch(AGREED, Upgrade::None), refused("upgrade_not_asked_for"));
    for fields in [
        "",
        "Upgrade: foo\r\n",
        "Connection: upgrade\r\n",
        "Connection: upgrade\r\nUpgrade: foo, bar\r\n",
        "Connection: upgrade\r\nUpgrade: foo\r\nUpgrade: foo\r\n",
        "Connection: upgrade\r\nUpgrade: h2c\r\n",
    ] {
        assert_eq!(switch(fields, Upgrade::Asked), refused("upgrade_invalid"), "{fields}");
    }
}

fn fields_of(head: &ResponseHead) -> String {
    let pairs: Vec<String> = fields(&head.headers).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(" ")
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let input = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    let mut decoder = ResponseDecoder::new();
    let (mut at, mut statuses) = (0, Vec::new());
    let mut head = Default::default();
    while let Decoded::Complete { consumed, .. } =
        decoder.decode(&input[at..], &Limits::default(), &Method::Get, &mut head).unwrap()
    {
        at += consumed;
        statuses.push((head.status, head.headers.len()));
    }
    assert_eq!((statuses.as_slice(), at), ([(100, 0), (103, 1), (200, 0)].as_slice(), input.len()));
}

#[test]
fn truncated_bodies_are_noticed() {
    let limits = Limits::default();
    let truncated = Err(BodyError { status: 400, details: "body_truncated" });
    let bytes = |input: &str, length| body(input.as_bytes(), length, &limits).map(|(bytes, _)| bytes);
    assert_eq!(bytes("hell", BodyLength::Length(5)), truncated);
    for input in ["", "5", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "0\r\n\r"] {
        assert_eq!(bytes(input, BodyLength::Chunked), truncated, "{input}");
    }
    assert_eq!(bytes("hello", BodyLength::UntilClose).as_deref(), Ok(b"hello".as_slice()));
    assert_eq!(bytes("", BodyLength::UntilClose).as_deref(), Ok(b"".as_slice()));
}

#[test]
fn a_body_without_announced_length_is_bounded_too() {
    let limits = Limits { max_body: Some(4), ..Limits::default() };
    let too_large = Err(BodyError { status: 413, details: "body_too_large" });
    let bytes = |input: &str, length| body(input.as_bytes(), length, &limits).map(|(bytes, _)| bytes);
    assert_eq!(bytes("hello", BodyLength::UntilClose), too_large);
    assert_eq!(bytes("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", BodyLength::Chunked), too_large);
    assert_eq!(bytes("2\r\nhe\r\n2\r\nll\r\n0\r\n\r\n", BodyLength::Chunked).as_deref(), Ok(b"hell".as_slice()));
    let huge = "1\r\na\r\nffffffffffffffff\r\n";
    let unlimited = Limits::default();
    assert_eq!(body(huge.as_bytes(), BodyLength::Chunked, &unlimited).map(|(bytes, _)| bytes), too_large);
}
