//! The bytes that go out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

use sidegate_api::{HeaderCase, Headers, Method, Protocol, RequestHead, ResponseHead};
use sidegate_protocol::http1::{
    BodyLength, ChunkPrefix, Expect, Persistence, ResponseFraming, Upgrade, encode_last_chunk, encode_request_head,
    encode_response_head,
};

const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";

fn headers(fields: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.add(name.as_bytes(), value.as_bytes()).unwrap();
    }
    headers
}

/// Fields that only the codec may write, and one that travels.
fn mixed() -> Headers {
    headers(&[
        ("content-length", "99"),
        ("x", "y"),
        ("connection", "z"),
        ("keep-alive", "z"),
        ("proxy-connection", "z"),
        ("te", "z"),
        ("trailer", "z"),
        ("transfer-encoding", "z"),
        ("upgrade", "z"),
    ])
}

#[test]
fn request_heads() {
    let mut head = RequestHead::default();
    head.method = Method::Post;
    head.authority.push_str("a:80");
    head.headers = mixed();
    head.headers.add(b"host", b"evil").unwrap();
    head.headers.add(b"expect", b"evil").unwrap();
    head.set_target("/x?y");
    for (framing, expect, end) in [
        (BodyLength::None, Expect::None, ""),
        (BodyLength::Length(0), Expect::None, "content-length: 0\r\n"),
        (BodyLength::Length(u64::MAX), Expect::None, "content-length: 18446744073709551615\r\n"),
        (BodyLength::Chunked, Expect::Continue, "expect: 100-continue\r\ntransfer-encoding: chunked\r\n"),
    ] {
        let mut out = b"before ".to_vec();
        encode_request_head(&mut out, &head, framing, expect, Upgrade::None, HeaderCase::Lower);
        let expected = format!("before POST /x?y HTTP/1.1\r\nhost: a:80\r\nx: y\r\n{end}\r\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn switching_is_asked_for_and_agreed_to() {
    let mut head = RequestHead::default();
    head.authority.push('a');
    head.set_target("/");
    head.headers = mixed();
    let mut out = Vec::new();
    encode_request_head(&mut out, &head, BodyLength::None, Expect::None, Upgrade::Asked, HeaderCase::Lower);
    let expected = "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\nconnection: upgrade\r\nupgrade: z\r\n\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let head = ResponseHead { status: 101, headers: mixed(), ..Default::default() };
    let mut out = Vec::new();
    encode_response_head(
        &mut out,
        &head,
        ResponseFraming::NoBody,
        Protocol::Http11,
        Persistence::KeepAlive,
        DATE,
        HeaderCase::Lower,
    );
    let expected = "HTTP/1.1 101 Switching Protocols\r\nx: y\r\nconnection: upgrade\r\nupgrade: z\r\n\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn response_heads() {
    use Persistence::{Close, KeepAlive};
    use Protocol::{Http10, Http11};
    use ResponseFraming::{Chunked, Length, NoBody, UntilClose};
    const LATER: &str = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for (status, framing, version, wanted, got, line, end) in [
        (200, Length(5), Http11, KeepAlive, KeepAlive, "200 OK", "content-length: 5\r\n"),
        (200, Length(5), Http11, Close, Close, "200 OK", "content-length: 5\r\nconnection: close\r\n"),
        (200, Length(5), Http10, KeepAlive, KeepAlive, "200 OK", "content-length: 5\r\nconnection: keep-alive\r\n"),
        (200, Chunked, Http11, KeepAlive, KeepAlive, "200 OK", "transfer-encoding: chunked\r\n"),
        (200, Chunked, Http10, KeepAlive, Close, "200 OK", "connection: close\r\n"),
        (200, UntilClose, Http11, KeepAlive, Close, "200 OK", "connection: close\r\n"),
        (200, NoBody, Http11, KeepAlive, KeepAlive, "200 OK", "content-length: 99\r\n"),
        (304, NoBody, Http11, KeepAlive, KeepAlive, "304 Not Modified", "content-length: 99\r\n"),
        (204, NoBody, Http11, KeepAlive, KeepAlive, "204 No Content", ""),
        (204, Length(0), Http11, KeepAlive, KeepAlive, "204 No Content", ""),
        (599, Length(0), Http11, KeepAlive, KeepAlive, "599 ", "content-length: 0\r\n"),
    ] {
        let head = ResponseHead { status, headers: mixed(), ..Default::default() };
        let mut out = Vec::new();
        assert_eq!(encode_response_head(&mut out, &head, framing, version, wanted, DATE, HeaderCase::Lower), got);
        let expected = format!("HTTP/1.1 {line}\r\nx: y\r\n{LATER}{end}\r\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn a_date_is_added_only_where_there_is_none() {
    let head = ResponseHead { status: 200, headers: headers(&[("date", "then")]), ..Default::default() };
    let mut out = Vec::new();
    encode_response_head(
        &mut out,
        &head,
        ResponseFraming::Length(0),
        Protocol::Http11,
        Persistence::KeepAlive,
        DATE,
        HeaderCase::Lower,
    );
    assert_eq!(out, b"HTTP/1.1 200 OK\r\ndate: then\r\ncontent-length: 0\r\n\r\n");
}

#[test]
fn interim_responses_have_neither_date_nor_framing() {
    let head = ResponseHead { status: 103, headers: headers(&[("link", "</a>")]), ..Default::default() };
    let mut out = Vec::new();
    encode_response_head(
        &mut out,
        &head,
        ResponseFraming::NoBody,
        Protocol::Http11,
        Persistence::Close,
        DATE,
        HeaderCase::Lower,
    );
    assert_eq!(out, b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
}

#[test]
fn chunk_lines() {
    for (len, line) in [(0, "0\r\n"), (15, "f\r\n"), (16, "10\r\n"), (u64::MAX, "ffffffffffffffff\r\n")] {
        assert_eq!(ChunkPrefix::new(len).as_slice(), line.as_bytes());
    }
    let mut out = Vec::new();
    encode_last_chunk(
        &mut out,
        &headers(&[("a", "b"), ("authorization", "x"), ("content-length", "1"), ("host", "b")]),
        HeaderCase::Lower,
    );
    assert_eq!(out, b"0\r\na: b\r\n\r\n");
}
