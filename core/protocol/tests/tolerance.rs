//! What is tolerated where peers are asked to be lenient, and what is kept of
//! a message beside its meaning.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod common;

use common::fields;
use sidegate_api::{HeaderCase, Headers, Method, Protocol, RequestHead, ResponseHead};
use sidegate_protocol::http1::{
    BodyDecoder, BodyLength, BodyStep, Decoded, Expect, Grammar, Limits, Persistence, RequestDecoder, ResponseDecoder,
    ResponseFraming, Spelling, TargetBytes, Upgrade, encode_last_chunk, encode_request_head, encode_response_head,
};

fn response(input: &str, grammar: Grammar, limits: &Limits) -> Result<ResponseHead, &'static str> {
    let mut head = ResponseHead::default();
    let mut decoder = ResponseDecoder::new();
    decoder.tolerate(grammar);
    match decoder.decode(input.as_bytes(), limits, &Method::Get, &mut head) {
        Ok(Decoded::Complete { consumed, .. }) => {
            assert_eq!(consumed, input.len());
            Ok(head)
        }
        Ok(Decoded::Partial) => panic!("unfinished: {input:?}"),
        Err(error) => Err(error.details),
    }
}

fn request(input: &str, limits: &Limits) -> Result<RequestHead, &'static str> {
    let mut head = RequestHead::default();
    match RequestDecoder::new().decode(input.as_bytes(), limits, &mut head) {
        Ok(Decoded::Complete { .. }) => Ok(head),
        Ok(Decoded::Partial) => panic!("unfinished: {input:?}"),
        Err(error) => Err(error.details),
    }
}

type Fields = Vec<(String, String)>;

/// The data and trailers of a whole body, which arrives byte by byte.
fn body(input: &str, grammar: Grammar) -> Result<(String, Fields), &'static str> {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked, &Limits::default()).with_grammar(grammar);
    let (mut data, mut trailers, mut buffer) = (String::new(), Headers::new(), Vec::new());
    for &byte in input.as_bytes() {
        buffer.push(byte);
        loop {
            match decoder.decode(&buffer, &mut trailers).map_err(|error| error.details)? {
                BodyStep::Data { start, end } => {
                    data.push_str(std::str::from_utf8(&buffer[start..end]).unwrap());
                    buffer.drain(..end);
                }
                BodyStep::NeedMore { consumed } => {
                    buffer.drain(..consumed);
                    break;
                }
                BodyStep::End { .. } => return Ok((data, fields(&trailers))),
            }
        }
    }
    Err("unfinished")
}

#[test]
fn lines_of_responses() {
    let limits = Limits::default();
    for head in ["HTTP/1.1 200 OK\na: b\n\n", "HTTP/1.1 200 OK\r\na: b\n\r\n", "HTTP/1.1 200 OK\na: b\r\n\n"] {
        assert_eq!(response(head, Grammar::Padded, &limits).err(), Some("bare_line_feed"), "{head:?}");
        let taken = response(head, Grammar::BareLineFeeds, &limits).unwrap();
        assert_eq!(fields(&taken.headers), [("a".to_owned(), "b".to_owned())]);
    }
    for head in ["HTTP/1.1 200 OK\na: b\rc\n\n", "HTTP/1.1 200 OK\na: b\n c: d\n\n", "HTTP/1.1 200 OK\na b\n\n"] {
        assert!(response(head, Grammar::BareLineFeeds, &limits).is_err(), "{head:?}");
    }
}

#[test]
fn lines_of_chunked_bodies() {
    let whole = |trailers: &[(&str, &str)]| {
        Ok(("abc".to_owned(), trailers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()))
    };
    for (input, strict, padded, bare) in [
        ("3\r\nabc\r\n0\r\n\r\n", true, true, true),
        ("3  \r\nabc\r\n0\t\r\n\r\n", false, true, true),
        ("3\nabc\r\n0\r\n\r\n", false, false, true),
        ("3\r\nabc\n0\r\n\r\n", false, false, true),
        ("3\r\nabc\r\n0\n\r\n", false, false, true),
        ("3\r\nabc\r\n0\r\n\n", false, false, true),
        ("3 \nabc\n0\n\n", false, false, true),
        ("3\r\nabc\r0\r\n\r\n", false, false, false),
        ("3\r\nabcd\n0\n\n", false, false, false),
    ] {
        for (grammar, takes) in [(Grammar::Strict, strict), (Grammar::Padded, padded), (Grammar::BareLineFeeds, bare)] {
            let got = body(input, grammar);
            match takes {
                true => assert_eq!(got, whole(&[]), "{input:?} {grammar:?}"),
                false => assert!(got.is_err(), "{input:?} {grammar:?}"),
            }
        }
    }
    assert_eq!(body("3\nabc\n0\nx: y\nz: a\n\n", Grammar::BareLineFeeds), whole(&[("x", "y"), ("z", "a")]));
    assert_eq!(body("3\nabc\n0\nx\n\n", Grammar::BareLineFeeds), Err("trailer_invalid"));
}

#[test]
fn statuses_beyond_the_classes_and_their_phrases() {
    let limits = Limits::default();
    for (line, status, reason) in [
        ("HTTP/1.1 200 OK", 200, None),
        ("HTTP/1.1 200", 200, None),
        ("HTTP/1.1 200 ", 200, None),
        ("HTTP/1.1 200 Fine", 200, Some("Fine")),
        ("HTTP/1.1 600 x", 600, Some("x")),
        ("HTTP/1.1 999 Request denied\t!", 999, Some("Request denied\t!")),
        // Bytes beyond ASCII mean what the reader makes of them.
        ("HTTP/1.1 404 Nicht verf\u{fc}gbar", 404, None),
    ] {
        let head = response(&format!("{line}\r\n\r\n"), Grammar::Padded, &limits).unwrap();
        assert_eq!((head.status, head.reason.of(status)), (status, reason), "{line}");
        let mut out = Vec::new();
        let framing = ResponseFraming::Length(0);
        encode_response_head(
            &mut out,
            &head,
            framing,
            Protocol::Http11,
            Persistence::KeepAlive,
            b"now",
            HeaderCase::Lower,
        );
        let expected = match (status, reason) {
            (200, None) => "HTTP/1.1 200 OK".to_owned(),
            (404, None) => "HTTP/1.1 404 Not Found".to_owned(),
            (status, reason) => format!("HTTP/1.1 {status} {}", reason.unwrap_or_default()),
        };
        assert_eq!(String::from_utf8(out).unwrap().lines().next(), Some(expected.as_str()));
    }
    assert_eq!(response("HTTP/1.1 099 x\r\n\r\n", Grammar::BareLineFeeds, &limits).err(), Some("status_invalid"));
}

#[test]
fn names_are_written_in_their_case() {
    let limits = Limits { spelling: Spelling::Keep, ..Limits::default() };
    let input = "POST /a:b HTTP/1.1\r\nHOST: a\r\nX-ID: 1:2\r\nx-Id: 3\r\nConTent-Length: 3\r\n\r\n";
    let mut head = request(input, &limits).unwrap();
    head.headers.add(b"x-added-here", b"y").unwrap();
    let written = |case| {
        let mut out = b"X: before\n".to_vec();
        encode_request_head(&mut out, &head, BodyLength::Length(3), Expect::None, Upgrade::None, case);
        String::from_utf8(out).unwrap()
    };
    let lower = "X: before\nPOST /a:b HTTP/1.1\r\nhost: a\r\nx-id: 1:2\r\nx-id: 3\r\nx-added-here: y\r\ncontent-length: 3\r\n\r\n";
    assert_eq!(written(HeaderCase::Lower), lower);
    assert_eq!(
        written(HeaderCase::Title),
        "X: before\nPOST /a:b HTTP/1.1\r\nHost: a\r\nX-Id: 1:2\r\nX-Id: 3\r\nX-Added-Here: y\r\nContent-Length: 3\r\n\r\n"
    );
    assert_eq!(
        written(HeaderCase::Preserve),
        "X: before\nPOST /a:b HTTP/1.1\r\nHOST: a\r\nX-ID: 1:2\r\nX-ID: 3\r\nX-Added-Here: y\r\nConTent-Length: 3\r\n\r\n"
    );
    // The next head on the same map remembers nothing of it.
    head.headers.clear();
    assert_eq!(head.headers.spelling_of(b"x-id"), None);
}

#[test]
fn trailers_are_written_in_their_case() {
    let limits = Limits { spelling: Spelling::Keep, ..Limits::default() };
    let mut trailers = Headers::new();
    let mut decoder = BodyDecoder::new(BodyLength::Chunked, &limits);
    decoder.decode(b"0\r\nX-SUM: 1\r\n\r\n", &mut trailers).unwrap();
    for (case, name) in [(HeaderCase::Lower, "x-sum"), (HeaderCase::Title, "X-Sum"), (HeaderCase::Preserve, "X-SUM")] {
        let mut out = Vec::new();
        encode_last_chunk(&mut out, &trailers, case);
        assert_eq!(String::from_utf8(out).unwrap(), format!("0\r\n{name}: 1\r\n\r\n"));
    }
}

#[test]
fn utf8_in_a_target_where_it_is_tolerated() {
    let lenient = Limits { target_bytes: TargetBytes::Lenient, ..Limits::default() };
    for (sent, taken) in [
        ("/käse", "/käse"),
        ("/a/../käse?q=größe", "/käse?q=größe"),
        ("/%61/日本/./x%2f", "/a/日本/x%2f"),
        ("http://a/日本", "/日本"),
        ("http://a?日本", "/?日本"),
    ] {
        let input = format!("GET {sent} HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(request(&input, &lenient).unwrap().target(), taken);
        assert_eq!(request(&input, &Limits::default()).err(), Some("target_invalid"), "{sent}");
    }
    // No UTF-8.
    let mut head = RequestHead::default();
    let input = b"GET /k\xe4se HTTP/1.1\r\nhost: a\r\n\r\n";
    assert!(RequestDecoder::new().decode(input, &lenient, &mut head).is_err());
}

#[test]
fn many_fields_where_so_many_are_allowed() {
    let limits = Limits { max_headers: 200, max_head_bytes: 65536, ..Limits::default() };
    for (count, taken) in [(100, true), (128, true), (129, true), (200, true), (201, false)] {
        let fields = "a: b\r\n".repeat(count);
        let got = response(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), Grammar::Padded, &limits);
        assert_eq!(got.map(|head| head.headers.len()).ok(), taken.then_some(count), "{count}");
        let fields = "a: b\r\n".repeat(count - 1);
        let got = request(&format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"), &limits);
        assert_eq!(got.map(|head| head.headers.len()).ok(), taken.then_some(count - 1), "{count}");
    }
}
