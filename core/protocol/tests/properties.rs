//! Properties that hold for all inputs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod common;

use common::mutation::{SEEDS, edits, mutate};
use common::{body, fields, request, response};
use proptest::collection::vec;
use proptest::prelude::*;
use sidegate_api::{HeaderCase, Headers, Method, Protocol, RequestHead, ResponseHead};
use sidegate_protocol::http1::{
    BodyDecoder, BodyLength, CHUNK_END, ChunkPrefix, Expect, Limits, Persistence, RequestDecoder, ResponseDecoder,
    ResponseFraming, Upgrade, encode_last_chunk, encode_request_head, encode_response_head,
};

/// Fields that travel on as they are.
fn end_to_end() -> impl Strategy<Value = Vec<(String, String)>> {
    vec(("x-[a-z0-9!#$%&'*+.^`|~-]{1,12}", "([!-~é]([ -~\t]{0,20}[!-~])?)?"), 0..20)
}

fn target() -> impl Strategy<Value = String> {
    "(/[a-zA-Z0-9_~!$&'()*+,;=:@-][a-zA-Z0-9._~!$&'()*+,;=:@-]{0,8}){1,4}/?(\\?[a-z0-9=&/?%.]{0,20})?"
}

fn authority() -> impl Strategy<Value = String> {
    "([a-z0-9_~-]{1,9}(\\.[a-z0-9_~-]{1,9}){0,2}\\.?|\\[::1\\])(:[1-9][0-9]{0,3})?"
}

fn headers(from: &[(String, String)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in from {
        headers.add(name.as_bytes(), value.as_bytes()).unwrap();
    }
    headers
}

fn chunked(content: &[Vec<u8>], trailers: &Headers) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in content.iter().filter(|chunk| !chunk.is_empty()) {
        out.extend_from_slice(ChunkPrefix::new(chunk.len() as u64).as_slice());
        out.extend_from_slice(chunk);
        out.extend_from_slice(CHUNK_END);
    }
    encode_last_chunk(&mut out, trailers, HeaderCase::Lower);
    out
}

proptest! {
    #[test]
    fn a_request_written_and_read_is_the_same_in_any_pieces(
        method in "(GET|HEAD|POST|PUT|DELETE|PATCH|TRACE|[A-Z][A-Za-z!-]{0,20})",
        target in target(),
        authority in authority(),
        sent in end_to_end(),
        content in vec(vec(any::<u8>(), 0..40), 0..6),
        trailers in end_to_end(),
        framing in 0..3_u8,
        cuts in vec(0..2000_usize, 0..12),
    ) {
        prop_assume!(method != "CONNECT");
        let mut head = RequestHead::default();
        head.method = Method::parse(method.as_bytes()).unwrap();
        head.authority.push_str(&authority);
        head.headers = headers(&sent);
        head.set_target(&target);
        let whole = content.concat();
        let framing = match framing {
            0 => BodyLength::None,
            1 => BodyLength::Length(whole.len() as u64),
            _ => BodyLength::Chunked,
        };
        let mut wire = Vec::new();
        encode_request_head(&mut wire, &head, framing, Expect::None, Upgrade::None, HeaderCase::Lower);
        let mut expected = sent;
        match framing {
            BodyLength::Length(length) => {
                wire.extend_from_slice(&whole);
                expected.push(("content-length".to_owned(), length.to_string()));
            }
            BodyLength::Chunked => wire.extend_from_slice(&chunked(&content, &headers(&trailers))),
            _ => {}
        }
        let len = wire.len();
        wire.extend_from_slice(b"GET /next");

        let limits = Limits::default();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (len + 1)).collect();
        cuts.sort_unstable();
        let got = request(&wire, &cuts, &limits).unwrap();
        prop_assert_eq!(&got, &request(&wire, &[], &limits).unwrap());
        prop_assert_eq!(got.consumed, len);
        prop_assert_eq!(
            (got.method.as_str(), got.target.as_str(), got.authority.as_str()),
            (method.as_str(), target.as_str(), authority.as_str())
        );
        prop_assert_eq!(got.headers, expected);
        prop_assert_eq!((got.meta.body, got.meta.persistence), (framing, Persistence::KeepAlive));
        prop_assert_eq!(got.body, if framing == BodyLength::None { Vec::new() } else { whole });
        prop_assert_eq!(got.trailers, if framing == BodyLength::Chunked { trailers } else { Vec::new() });
    }

    #[test]
    fn a_response_written_and_read_is_the_same(
        status in prop_oneof![200..=203_u16, 205..=303_u16, 305..=599_u16],
        sent in end_to_end(),
        length in proptest::option::of(any::<u64>()),
    ) {
        let head = ResponseHead { status, headers: headers(&sent), ..ResponseHead::default() };
        let framing = length.map_or(ResponseFraming::Chunked, ResponseFraming::Length);
        let mut wire = Vec::new();
        encode_response_head(&mut wire, &head, framing, Protocol::Http11, Persistence::KeepAlive, b"now", HeaderCase::Lower);
        let (got, meta, consumed) = response(&wire, &Method::Get).unwrap();
        let mut expected = sent;
        expected.push(("date".to_owned(), "now".to_owned()));
        expected.extend(length.map(|length| ("content-length".to_owned(), length.to_string())));
        prop_assert_eq!((got.status, fields(&got.headers), consumed), (status, expected, wire.len()));
        prop_assert_eq!(meta.body, length.map_or(BodyLength::Chunked, BodyLength::Length));
        prop_assert_eq!(meta.persistence, Persistence::KeepAlive);
    }

    #[test]
    fn random_bytes_never_panic_and_never_split_differently(
        input in vec(any::<u8>(), 0..300),
        cuts in vec(0..300_usize, 0..8),
    ) {
        check_any(&input, cuts);
    }

    #[test]
    fn broken_messages_never_panic_and_never_split_differently(
        seed in 0..SEEDS.len(),
        edits in edits(),
        cuts in vec(0..300_usize, 0..8),
    ) {
        check_any(&mutate(SEEDS[seed], &edits), cuts);
    }

    #[test]
    fn what_is_taken_is_in_normal_form(path in "/[a.%2eEfF/5cC;]{0,24}") {
        let input = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        if let Ok(message) = request(input.as_bytes(), &[], &Limits::default()) {
            let target = &message.target;
            prop_assert!(target.starts_with('/'));
            prop_assert!(target.split('/').all(|segment| segment != "." && segment != ".."), "{}", target);
            prop_assert!(!target.to_lowercase().contains("%2e"), "{}", target);
            let again = format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n");
            let again = request(again.as_bytes(), &[], &Limits::default()).unwrap();
            prop_assert_eq!(&again.target, target);
        }
    }
}

/// Feeds `input` to every decoder, whole and in pieces.
fn check_any(input: &[u8], cuts: Vec<usize>) {
    let limits = Limits { max_head_bytes: 200, max_headers: 8, max_body: Some(64), ..Limits::default() };
    let mut cuts: Vec<usize> = cuts.into_iter().filter(|&cut| cut < input.len()).collect();
    cuts.sort_unstable();
    let (whole, pieces) = (request(input, &[], &limits), request(input, &cuts, &limits));
    // Both take it, as the same; or neither does.
    assert_eq!(whole.as_ref().ok(), pieces.as_ref().ok());
    let mut response = ResponseHead::default();
    let mut decoder = ResponseDecoder::new();
    let mut request = RequestHead::default();
    let mut requests = RequestDecoder::new();
    for end in cuts.iter().copied().chain([input.len()]) {
        let _ = decoder.decode(&input[..end], &limits, &Method::Get, &mut response);
        let _ = requests.decode(&input[..end], &limits, &mut request);
    }
    for length in [BodyLength::Chunked, BodyLength::Length(20), BodyLength::UntilClose] {
        let _ = body(input, length, &limits);
        let mut failed = BodyDecoder::new(length, &limits);
        let mut trailers = Headers::new();
        if let Err(error) = failed.decode(input, &mut trailers) {
            assert_eq!(failed.decode(b"0\r\n\r\n", &mut trailers), Err(error), "a fault is final");
            assert_eq!(failed.at_eof(), Err(error));
        }
    }
}
