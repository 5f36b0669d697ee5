use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sidegate_api::{BodyDirection, EndOfStream, Method};

use super::Gzip;
use crate::testing::{Bench, Outcome, errors};

fn config() -> Value {
    json!({"content_types": ["text/html", "Application/JSON"], "content_length": 10})
}

fn bench(accept: &str, status: u16, headers: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::new::<Gzip>(config()).header("accept-encoding", accept);
    assert_eq!(bench.request(), Outcome::Continue);
    bench.response(status, headers)
}

const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

#[test]
fn a_response_is_compressed_part_by_part() {
    let mut bench =
        bench("gzip", 200, &[HTML, ("etag", "\"x\""), ("accept-ranges", "bytes"), ("content-length", "12")]);
    assert_eq!(bench.response_head(EndOfStream::More), Outcome::Continue);
    assert!(!bench.waives(BodyDirection::Response));
    assert_eq!(bench.response_header("content-encoding"), Some("gzip"));
    assert_eq!(bench.response_header("etag"), Some("W/\"x\""));
    assert_eq!(bench.response_header("vary"), Some("Accept-Encoding"));
    assert_eq!(bench.response_header("accept-ranges"), None);
    let mut sent = bench.response_body(b"hello ", false);
    sent.extend(bench.response_body(b"", false));
    sent.extend(bench.response_body(b"world!", true));
    let mut text = String::new();
    GzDecoder::new(&sent[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello world!");
}

#[test]
fn what_is_not_for_compression_passes_as_it_is() {
    for (what, status, headers) in [
        ("other type", 200, &[("content-type", "image/png")][..]),
        ("no type", 200, &[]),
        ("short", 200, &[HTML, ("content-length", "9")]),
        ("encoded", 200, &[HTML, ("content-encoding", "br")]),
        ("no-transform", 200, &[HTML, ("cache-control", "public, no-transform")]),
        ("part", 206, &[HTML, ("content-range", "bytes 0-1/2")]),
        ("part of an error", 416, &[HTML, ("content-range", "bytes */2")]),
        ("no content", 204, &[HTML]),
    ] {
        let mut bench = bench("gzip", status, headers);
        let before = format!("{:?}", bench.stream.response);
        assert_eq!(bench.response_head(EndOfStream::More), Outcome::Continue);
        assert!(bench.waives(BodyDirection::Response), "{what}");
        assert_eq!(format!("{:?}", bench.stream.response), before, "{what}");
    }
}

#[test]
fn errors_and_identity_are_compressed() {
    let mut bench = bench("gzip", 500, &[HTML, ("content-encoding", "identity"), ("content-length", "10")]);
    assert_eq!(bench.response_head(EndOfStream::More), Outcome::Continue);
    assert_eq!(bench.response_header("content-encoding"), Some("gzip"));
}

#[test]
fn a_client_that_takes_no_gzip_gets_the_bytes_and_vary() {
    let mut bench = bench("br", 200, &[HTML, ("etag", "\"x\""), ("vary", "Origin")]);
    assert_eq!(bench.response_head(EndOfStream::More), Outcome::Continue);
    assert!(bench.waives(BodyDirection::Response));
    let vary: Vec<_> = bench.stream.response.headers.get_all(b"vary").collect();
    assert_eq!(vary, [&b"Origin"[..], b"Accept-Encoding"]);
    assert_eq!((bench.response_header("content-encoding"), bench.response_header("etag")), (None, Some("\"x\"")));
}

#[test]
fn vary_is_said_once() {
    for vary in ["*", "origin, accept-encoding"] {
        let mut bench = bench("gzip", 200, &[HTML, ("vary", vary)]);
        assert_eq!(bench.response_head(EndOfStream::More), Outcome::Continue);
        assert_eq!(bench.stream.response.headers.get_all(b"vary").count(), 1);
    }
}

#[test]
fn a_request_may_forbid_changes() {
    let mut bench = Bench::new::<Gzip>(config()).header("accept-encoding", "gzip");
    bench = bench.header("cache-control", "no-transform");
    assert_eq!(bench.request(), Outcome::Continue);
    let mut bench = bench.response(200, &[HTML]);
    assert_eq!(bench.response_head(EndOfStream::More), Outcome::Continue);
    assert!(bench.waives(BodyDirection::Response));
    assert_eq!(bench.response_header("vary"), None);
}

#[test]
fn head_tells_what_get_would() {
    let mut bench = bench("gzip", 200, &[HTML, ("etag", "\"x\""), ("content-length", "100")]);
    bench.stream.request.method = Method::Head;
    assert_eq!(bench.response_head(EndOfStream::End), Outcome::Continue);
    // Not waived: the proxy takes the length away, which is that of plain bytes.
    assert!(!bench.waives(BodyDirection::Response));
    assert_eq!(bench.response_header("content-encoding"), Some("gzip"));
    assert_eq!(bench.response_header("etag"), Some("W/\"x\""));
}

#[test]
fn not_modified_has_the_tag_that_the_client_knows() {
    let mut gzip = bench("gzip", 304, &[("etag", "\"x\"")]);
    assert_eq!(gzip.response_head(EndOfStream::End), Outcome::Continue);
    assert_eq!(gzip.response_header("etag"), Some("W/\"x\""));
    let mut plain = bench("identity", 304, &[("etag", "\"x\"")]);
    assert_eq!(plain.response_head(EndOfStream::End), Outcome::Continue);
    assert_eq!(plain.response_header("etag"), Some("\"x\""));
}

#[test]
fn not_modified_varies_as_the_response_did() {
    for (headers, vary) in [
        (&[][..], Some("Accept-Encoding")),
        (&[HTML], Some("Accept-Encoding")),
        (&[("vary", "Accept-Encoding, Cookie")], Some("Accept-Encoding, Cookie")),
        (&[("content-type", "image/png")], None),
        (&[("content-encoding", "br")], None),
        (&[("cache-control", "no-transform")], None),
    ] {
        for accept in ["gzip", "identity"] {
            let mut bench = bench(accept, 304, headers);
            assert_eq!(bench.response_head(EndOfStream::End), Outcome::Continue);
            assert_eq!(bench.response_header("vary"), vary, "{headers:?} {accept}");
        }
    }
}

#[test]
fn an_empty_body_stays_empty() {
    let mut bench = bench("gzip", 200, &[HTML]);
    assert_eq!(bench.response_head(EndOfStream::End), Outcome::Continue);
    assert!(bench.waives(BodyDirection::Response));
    assert_eq!(bench.response_header("content-encoding"), None);
}

#[test]
fn a_short_reply_of_the_proxys_own_is_not_compressed() {
    let mut bench = bench("gzip", 403, &[HTML]);
    bench.stream.response_body.replace(b"no\n");
    assert_eq!(bench.response_head(EndOfStream::More), Outcome::Continue);
    assert!(bench.waives(BodyDirection::Response));
}

#[test]
fn mistakes_are_named() {
    assert_eq!(
        errors::<Gzip>(json!({"gzip_level": 10, "content_types": ["text/html; charset=utf-8", "text"]})),
        [
            "config.gzip_level: expected an integer from 0 to 9, found 10",
            "config.content_types[0]: expected a media type such as \"text/html\", found \"text/html; charset=utf-8\"",
            "config.content_types[1]: expected a media type such as \"text/html\", found \"text\"",
        ]
    );
}
