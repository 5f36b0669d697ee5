//! What of a request travels on, and what the codec says about it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod common;

use common::{Refusal, request};
use sidegate_api::{Method, Protocol, RequestHead};
use sidegate_protocol::http1::{
    BodyLength, Decoded, Expect, Limits, Persistence, RequestDecoder, RequestError, Upgrade, only_blank_lines,
};

fn get(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n").into_bytes()
}

/// `name: value` of each field that is left.
fn left(lines: &str) -> Vec<String> {
    let message = request(&get(lines), &[], &Limits::default()).unwrap();
    message.headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

#[test]
fn fields_of_the_connection_stay_behind() {
    let none: [&str; 0] = [];
    for lines in [
        "Connection: close\r\n",
        "Connection: keep-alive\r\nUpgrade: foo\r\n",
        "Keep-Alive: timeout=5\r\n",
        "Proxy-Connection: keep-alive\r\n",
        "TE: trailers\r\n",
        "Trailer: x\r\n",
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n",
        "Connection: authorization, x-forwarded-for\r\nAuthorization: x\r\nX-Forwarded-For: 1.2.3.4\r\n",
        "X-Secret: 1\r\nConnection: x-a\r\nConnection: ,, X-SECRET ,\r\nX-Secret: 2\r\n",
        "X_Forwarded_For: 1.2.3.4\r\n",
        "X-Forwarded_For: 1.2.3.4\r\n",
        "x_forwarded_proto: https\r\n",
        "X_Real_IP: 1.2.3.4\r\n",
        "Content_Length: 5\r\n",
        "Transfer_Encoding: chunked\r\n",
        "Proxy_Connection: close\r\n",
    ] {
        assert_eq!(left(lines), none, "{lines}");
    }
    assert_eq!(
        left("A: 1\r\nb_c: 2\r\nX-Forwarded-For: 3\r\nx_forwarded: 4\r\nA:\t5 \t\r\nE:\r\nCookie: a=b; c=\"d\"\r\n"),
        ["a: 1", "b_c: 2", "x-forwarded-for: 3", "x_forwarded: 4", "a: 5", "e: ", "cookie: a=b; c=\"d\""]
    );
}

#[test]
fn an_upgrade_is_asked_for_in_one_way() {
    const ASKED: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: ";
    let decoded = |version: &str, fields: &str| {
        let text = format!("GET / HTTP/{version}\r\nhost: a\r\n{fields}\r\n");
        let mut head = RequestHead::default();
        let decoded = RequestDecoder::new().decode(text.as_bytes(), &Limits::default(), &mut head);
        let Ok(Decoded::Complete { meta, .. }) = decoded else { panic!("{text}: {decoded:?}") };
        let field = head.headers.get(b"upgrade").map(|value| String::from_utf8(value.to_vec()).unwrap());
        assert_eq!(field.is_some(), meta.upgrade == Upgrade::Asked, "{text}");
        field
    };
    for protocol in ["websocket", "WebSocket", "foo/2"] {
        assert_eq!(decoded("1.1", &format!("{ASKED}{protocol}\r\n")).as_deref(), Some(protocol));
    }
    assert_eq!(decoded("1.1", &format!("{ASKED}x\r\ncontent-length: 0\r\n")).as_deref(), Some("x"));
    for (version, fields) in [
        ("1.1", "Upgrade: websocket\r\n".to_owned()),
        ("1.1", "Connection: Upgrade\r\n".to_owned()),
        ("1.0", format!("{ASKED}websocket\r\n")),
        ("1.1", format!("{ASKED}h2c\r\n")),
        ("1.1", format!("{ASKED}HTTP/2.0\r\n")),
        ("1.1", format!("{ASKED}websocket, foo\r\n")),
        ("1.1", format!("{ASKED}websocket\r\nUpgrade: websocket\r\n")),
        ("1.1", format!("{ASKED}websocket\r\nUpgrade: h2c\r\n")),
        ("1.1", format!("{ASKED}\r\n")),
        ("1.1", format!("{ASKED}web socket\r\n")),
        ("1.1", format!("{ASKED}websocket\r\ncontent-length: 1\r\n")),
        ("1.1", format!("{ASKED}websocket\r\ntransfer-encoding: chunked\r\n")),
    ] {
        assert_eq!(decoded(version, &fields), None, "{version} {fields}");
    }
}

#[test]
fn one_content_length_is_left() {
    let input = b"POST / HTTP/1.1\r\nhost: a\r\nContent-Length: 05, 5\r\nContent-Length: 5\r\n\r\nhello";
    let message = request(input, &[], &Limits::default()).unwrap();
    assert_eq!(message.headers, [("content-length".to_owned(), "5".to_owned())]);
    assert_eq!(message.body, b"hello");
}

#[test]
fn framing_persistence_and_expectation() {
    use BodyLength::{Chunked, Length};
    use Persistence::{Close, KeepAlive};
    use Protocol::{Http10, Http11};
    const TE: &str = "transfer-encoding: chunked";
    const EXPECT: &str = "expect: 100-Continue\r\ncontent-length: 3";
    const LOST: &str = "expect: 100-continue\r\ncontent-length: 0";
    for (line, fields, version, body, persistence, expect) in [
        ("1.1", "a: b", Http11, BodyLength::None, KeepAlive, Expect::None),
        ("1.1", "connection: Close", Http11, BodyLength::None, Close, Expect::None),
        ("1.1", "connection: keep-alive, close", Http11, BodyLength::None, Close, Expect::None),
        ("1.0", "a: b", Http10, BodyLength::None, Close, Expect::None),
        ("1.0", "connection: Keep-Alive", Http10, BodyLength::None, KeepAlive, Expect::None),
        ("1.0", "connection: close\r\nconnection: keep-alive", Http10, BodyLength::None, Close, Expect::None),
        ("1.1", "content-length: 0", Http11, Length(0), KeepAlive, Expect::None),
        ("1.1", "content-length: 0012", Http11, Length(12), KeepAlive, Expect::None),
        ("1.1", TE, Http11, Chunked, KeepAlive, Expect::None),
        ("1.1", EXPECT, Http11, Length(3), KeepAlive, Expect::Continue),
        ("1.0", EXPECT, Http10, Length(3), Close, Expect::None),
        ("1.1", LOST, Http11, Length(0), KeepAlive, Expect::None),
        ("1.1", "expect: 100-continue", Http11, BodyLength::None, KeepAlive, Expect::None),
    ] {
        let text = format!("POST / HTTP/{line}\r\nhost: a\r\n{fields}\r\n\r\n");
        let mut head = RequestHead::default();
        let decoded = RequestDecoder::new().decode(text.as_bytes(), &Limits::default(), &mut head);
        let Ok(Decoded::Complete { consumed, meta }) = decoded else { panic!("{text}: {decoded:?}") };
        assert_eq!(consumed, text.len());
        assert_eq!(
            (meta.version, meta.body, meta.persistence, meta.expect),
            (version, body, persistence, expect),
            "{text}"
        );
        // Kept to be read, where it means anything.
        let expects = fields.contains("expect") && version == Http11;
        assert_eq!(head.headers.contains(b"expect"), expects, "{text}");
        assert!(!head.headers.contains(b"transfer-encoding"), "{text}");
    }
}

#[test]
fn pipelined_requests_come_out_one_by_one() {
    let input = b"POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi\r\n\
        POST /2 HTTP/1.1\r\nhost: b\r\ntransfer-encoding: chunked\r\n\r\n2\r\nho\r\n0\r\nx: y\r\n\r\nGET /3 HTTP/1.0\r\n\r\n";
    let limits = Limits::default();
    let first = request(input, &[], &limits).unwrap();
    assert_eq!((first.target.as_str(), first.body.as_slice()), ("/1", b"hi".as_slice()));
    assert_eq!(first.headers, [("content-length".to_owned(), "2".to_owned())]);
    let rest = &input[first.consumed..];
    let second = request(rest, &[], &limits).unwrap();
    assert_eq!((second.target.as_str(), second.body.as_slice()), ("/2", b"ho".as_slice()));
    assert_eq!(second.trailers, [("x".to_owned(), "y".to_owned())]);
    let third = request(&rest[second.consumed..], &[], &limits).unwrap();
    assert_eq!((third.target.as_str(), third.meta.version), ("/3", Protocol::Http10));
    assert_eq!(first.consumed + second.consumed + third.consumed, input.len());
}

#[test]
fn trailers_never_carry_framing_routing_or_credentials() {
    let input = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\
        Host: b\r\nAuthorization: x\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\
        X-Forwarded-For: 1\r\nX_Forwarded_For: 1\r\nCookie: c\r\nGrpc-Status: 0\r\n\r\n";
    let message = request(input, &[], &Limits::default()).unwrap();
    assert_eq!(message.trailers, [("grpc-status".to_owned(), "0".to_owned())]);
    assert_eq!(message.consumed, input.len());
}

#[test]
fn limits_are_exact() {
    let fill = |n: usize| get(&format!("b: {}\r\n", "c".repeat(n)));
    let overhead = fill(0).len();
    let limits = Limits { max_head_bytes: 500, ..Limits::default() };
    let decode = |input: &[u8]| request(input, &[], &limits).map(|message| message.consumed);
    assert_eq!(decode(&fill(500 - overhead)), Ok(500));
    assert_eq!(decode(&[b"\r\n\r\n".as_slice(), &fill(500 - overhead)].concat()), Ok(504));
    assert_eq!(decode(&fill(501 - overhead)), Err(Refusal::Refused(431, "headers_too_large")));
    // Without its end, too, and not one byte later.
    assert_eq!(decode(&fill(600)[..500]), Err(Refusal::Refused(431, "headers_too_large")));
    assert_eq!(decode(&fill(600)[..499]), Err(Refusal::Unfinished));
    for count in [100, 200] {
        let limits = Limits { max_headers: count, ..Limits::default() };
        let lines = |n: usize| get(&"b: c\r\n".repeat(n));
        let len = request(&lines(count - 1), &[], &limits).map(|message| message.headers.len());
        assert_eq!(len, Ok(count - 1));
        let refused = request(&lines(count), &[], &limits);
        assert_eq!(refused, Err(Refusal::Refused(431, "too_many_headers")));
    }
}

#[test]
fn a_refused_request_can_still_be_named_in_the_log() {
    let long = format!("PUT /x?y HTTP/1.1\r\nhost: a\r\nb: {}\r\n\r\n", "c".repeat(9000));
    for (input, method, target) in [
        ("PUT /x?y HTTP/1.1\r\n\r\n", Method::Put, "/x?y"),
        ("PUT /x?y HTTP/1.1\r\nhost: a\r\nb\0: c\r\n\r\n", Method::Put, "/x?y"),
        ("PUT /x?y HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", Method::Put, "/x?y"),
        (&long, Method::Put, "/x?y"),
        (&long[..8500], Method::Put, "/x?y"),
        ("PUT /%00 HTTP/1.1\r\nhost: a\r\n\r\n", Method::Put, ""),
        ("\x16\x03\x01", Method::Get, ""),
    ] {
        let mut head = RequestHead::default();
        head.set_target("/before");
        let refused = RequestDecoder::new().decode(input.as_bytes(), &Limits::default(), &mut head);
        assert!(refused.is_err(), "{input}");
        assert_eq!((&head.method, head.target()), (&method, target), "{input}");
    }
}

#[test]
fn blank_lines_are_no_request() {
    for (buf, blank) in [
        ("", true),
        ("\r", true),
        ("\r\n\r\n", true),
        ("\r\n\r\n\r\n\r\n\r", true),
        ("\r\n\r\n\r\n\r\n\r\n", false),
        ("\n", false),
        ("\r\nG", false),
    ] {
        assert_eq!(only_blank_lines(buf.as_bytes()), blank, "{buf:?}");
    }
}

#[test]
fn the_transport_decides_the_scheme() {
    let mut head = RequestHead::default();
    head.scheme = "https";
    let input = b"GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n";
    assert!(RequestDecoder::new().decode(input, &Limits::default(), &mut head).is_ok());
    assert_eq!((head.scheme, head.authority.as_str()), ("https", "b"));
}

#[test]
fn a_head_reused_for_the_next_request_keeps_nothing() {
    let mut head = RequestHead::default();
    let mut decoder = RequestDecoder::new();
    let limits = Limits::default();
    let first = b"POST /a/../b?c HTTP/1.1\r\nhost: a\r\nx: y\r\ncontent-length: 1\r\n\r\n";
    assert!(matches!(decoder.decode(first, &limits, &mut head), Ok(Decoded::Complete { .. })));
    assert!(matches!(decoder.decode(b"GET ", &limits, &mut head), Ok(Decoded::Partial)));
    let refused = decoder.decode(b"GET / HTTP/1.1\r\n\r\n", &limits, &mut head);
    assert_eq!(refused, Err(RequestError { status: 400, details: "host_missing" }));
    assert_eq!((head.authority.as_str(), head.headers.len(), head.target()), ("", 0, "/"));
}
