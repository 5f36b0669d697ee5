//! Heads and trailers of HTTP/2 requests: what travels on, what is refused,
//! and that HTTP/1 and HTTP/2 come out alike.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod common;

use common::fields;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, request::Parts};
use sidegate_api::{Headers, Protocol, RequestHead, Slashes};
use sidegate_protocol::http1::{
    BodyLength, Decoded, Expect, Limits, RequestDecoder, RequestError, RequestMeta, Upgrade,
};
use sidegate_protocol::http2::{Follows, decode_request, decode_trailers};

fn map(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    map
}

fn parts(method: &str, authority: Option<&str>, path: &str, pairs: &[(&str, &str)]) -> Parts {
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = Some(path.parse().unwrap());
    if let Some(authority) = authority {
        uri.authority = Some(authority.parse().unwrap());
        uri.scheme = Some("http".parse().unwrap());
    }
    let mut request = Request::builder().method(method).uri(Uri::from_parts(uri).unwrap()).body(()).unwrap();
    *request.headers_mut() = map(pairs);
    request.into_parts().0
}

fn decode(parts: &Parts, follows: Follows, limits: &Limits) -> Result<(RequestHead, RequestMeta), (u16, &'static str)> {
    let mut head = RequestHead::default();
    head.headers.add(b"left", b"over").unwrap();
    match decode_request(parts, follows, limits, &mut head) {
        Ok(meta) => Ok((head, meta)),
        Err(RequestError { status, details }) => Err((status, details)),
    }
}

fn get(path: &str) -> Result<(RequestHead, RequestMeta), (u16, &'static str)> {
    decode(&parts("GET", Some("a"), path, &[]), Follows::Nothing, &Limits::default())
}

fn with(pairs: &[(&str, &str)]) -> Result<(RequestHead, RequestMeta), (u16, &'static str)> {
    decode(&parts("POST", Some("a"), "/", pairs), Follows::More, &Limits::default())
}

#[test]
fn heads_come_out_in_the_form_of_http1() {
    let pairs = [
        ("X-B", "1"),
        ("x-forwarded-for", "1.2.3.4"),
        ("accept", ""),
        ("x-b", "2"),
        ("cookie", "a=b"),
        ("content-length", "5"),
        ("expect", "100-continue"),
        ("x_forwarded_for", "6.6.6.6"),
        ("content_length", "7"),
    ];
    let parts = parts("POST", Some("Example.COM:8080"), "/a/../b//%61?q=/../x", &pairs);
    let (head, meta) = decode(&parts, Follows::More, &Limits::default()).unwrap();
    let mut text = String::from("POST /a/../b//%61?q=/../x HTTP/1.1\r\nhost: Example.COM:8080\r\n");
    for (name, value) in pairs {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    let mut other = RequestHead::default();
    let decoded = RequestDecoder::new().decode(text.as_bytes(), &Limits::default(), &mut other);
    let Ok(Decoded::Complete { meta: other_meta, .. }) = decoded else { panic!("{decoded:?}") };
    assert_eq!((head.target(), head.path()), (other.target(), other.path()));
    assert_eq!(head.original_target(), other.original_target());
    assert_eq!((&head.authority, head.scheme, &head.method), (&other.authority, other.scheme, &other.method));
    let (mut ours, mut theirs) = (fields(&head.headers), fields(&other.headers));
    // Equal names come in a row over HTTP/2.
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
    assert_eq!((meta.body, meta.expect, meta.upgrade), (other_meta.body, other_meta.expect, Upgrade::None));
    assert_eq!((meta.version, other_meta.version), (Protocol::Http2, Protocol::Http11));
    assert!(meta.head_bytes.abs_diff(other_meta.head_bytes) < 16, "{meta:?} {other_meta:?}");
}

#[test]
fn paths_are_normalized_and_checked() {
    for (path, expected) in [
        ("/a/%2e%2e/x", Ok("/x")),
        ("/..", Ok("/")),
        ("/a%2f..", Ok("/a%2f..")),
        ("//x", Ok("/x")),
        ("/?", Ok("/?")),
        ("/%00", Err((400, "nul_in_path"))),
        ("/%", Err((400, "escape_invalid"))),
        ("/a\\b", Err((400, "backslash_in_path"))),
        ("*", Err((400, "asterisk_target"))),
        ("?q", Err((400, "target_invalid"))),
        ("/é", Err((400, "target_invalid"))),
    ] {
        let target = get(path).map(|(head, _)| head.target().to_owned());
        assert_eq!(target.as_deref().map_err(|e| *e), expected, "{path}");
    }
    let keep = Limits { slashes: Slashes::Keep, ..Limits::default() };
    let (head, _) = decode(&parts("GET", Some("a"), "//x", &[]), Follows::Nothing, &keep).unwrap();
    assert_eq!(head.target(), "//x");
    let (head, _) = decode(&parts("OPTIONS", Some("a"), "*", &[]), Follows::Nothing, &Limits::default()).unwrap();
    assert_eq!(head.target(), "*");
}

#[test]
fn the_authority_is_one() {
    let host = |authority, hosts: &[&str]| {
        let pairs: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let head = decode(&parts("GET", authority, "/", &pairs), Follows::Nothing, &Limits::default());
        head.map(|(head, _)| head.authority)
    };
    assert_eq!(host(Some("A:1"), &[]).as_deref(), Ok("a:1"));
    assert_eq!(host(Some("a:1"), &["A:1"]).as_deref(), Ok("a:1"));
    assert_eq!(host(None, &["B"]).as_deref(), Ok("b"));
    for (authority, hosts, details) in [
        (None, &[][..], "host_missing"),
        (Some("a"), &["b"], "host_differs"),
        (Some("a"), &["a:80"], "host_differs"),
        (Some("a"), &["a", "a"], "host_repeated"),
        (None, &["a", "b"], "host_repeated"),
        (None, &[""], "host_empty"),
        (None, &["a, b"], "host_invalid"),
        (Some("user@a"), &[], "host_invalid"),
        (Some("a.."), &[], "host_invalid"),
        (Some("a:0"), &[], "port_invalid"),
    ] {
        assert_eq!(host(authority, hosts), Err((400, details)), "{authority:?} {hosts:?}");
    }
}

#[test]
fn crumbs_are_joined_and_count_once() {
    let crumbs: Vec<String> = (0..90).map(|number| format!("c{number}=v")).collect();
    let mut pairs: Vec<(&str, &str)> = crumbs.iter().map(|crumb| ("cookie", crumb.as_str())).collect();
    let names: Vec<String> = (0..15).map(|number| format!("x-{number}")).collect();
    pairs.extend(names.iter().map(|name| (name.as_str(), "1")));
    pairs.push(("cookie", "last=1"));
    let (head, _) = with(&pairs).unwrap();
    assert_eq!(head.headers.get_all(b"cookie").count(), 1);
    let cookie = std::str::from_utf8(head.headers.get(b"cookie").unwrap()).unwrap();
    assert_eq!(cookie, format!("{}; last=1", crumbs.join("; ")));
    assert_eq!(head.headers.len(), 16);
}

#[test]
fn fields_are_bounded_in_number() {
    let names: Vec<String> = (0..101).map(|number| format!("x-{number}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert!(with(&pairs[..100]).is_ok());
    assert_eq!(with(&pairs).unwrap_err(), (431, "too_many_headers"));
}

#[test]
fn what_may_be_read_in_two_ways_is_refused() {
    for (pairs, refusal) in [
        (&[("connection", "close")][..], (400, "connection_field")),
        (&[("transfer-encoding", "chunked")], (400, "connection_field")),
        (&[("upgrade", "websocket")], (400, "connection_field")),
        (&[("content-length", "+5")], (400, "content_length_invalid")),
        (&[("content-length", "0x5")], (400, "content_length_invalid")),
        (&[("content-length", "")], (400, "content_length_invalid")),
        (&[("content-length", "5"), ("content-length", "6")], (400, "content_length_differs")),
        (&[("x", " edge")], (400, "header_value_invalid")),
        (&[("x", "edge\t")], (400, "header_value_invalid")),
        (&[("cookie", "a"), ("cookie", " b")], (400, "header_value_invalid")),
        (&[("expect", "the unexpected")], (417, "expectation_unknown")),
    ] {
        assert_eq!(with(pairs).unwrap_err(), refusal, "{pairs:?}");
    }
    for scheme in ["HTTP", "Https"] {
        let upper = Request::builder().uri(format!("{scheme}://a/")).body(()).unwrap().into_parts().0;
        assert!(decode(&upper, Follows::Nothing, &Limits::default()).is_ok(), "{scheme}");
    }
    let ftp = Request::builder().uri("ftp://a/").body(()).unwrap().into_parts().0;
    assert_eq!(decode(&ftp, Follows::Nothing, &Limits::default()).unwrap_err(), (400, "scheme_unsupported"));
}

#[test]
fn bodies_are_as_long_as_head_and_stream_say() {
    let body = |length: Option<&'static str>, follows| {
        let pairs: Vec<_> = length.map(|length| ("content-length", length)).into_iter().collect();
        let limits = Limits { max_body: Some(10), ..Limits::default() };
        decode(&parts("POST", Some("a"), "/", &pairs), follows, &limits).map(|(_, meta)| meta.body)
    };
    assert_eq!(body(None, Follows::Nothing), Ok(BodyLength::None));
    assert_eq!(body(Some("0"), Follows::Nothing), Ok(BodyLength::Length(0)));
    assert_eq!(body(Some("5"), Follows::More), Ok(BodyLength::Length(5)));
    assert_eq!(body(Some("5, 5"), Follows::More), Ok(BodyLength::Length(5)));
    assert_eq!(body(None, Follows::More), Ok(BodyLength::Chunked));
    assert_eq!(body(Some("5"), Follows::Nothing), Err((400, "content_length_differs")));
    assert_eq!(body(Some("11"), Follows::More), Err((413, "body_too_large")));
}

#[test]
fn nobody_waits_for_a_body_that_does_not_exist() {
    let expect = |follows| {
        let parts = parts("POST", Some("a"), "/", &[("expect", "100-Continue")]);
        decode(&parts, follows, &Limits::default()).unwrap().1.expect
    };
    assert_eq!(expect(Follows::Nothing), Expect::None);
    assert_eq!(expect(Follows::More), Expect::Continue);
}

#[test]
fn methods_are_those_of_http1() {
    let method = |method: &str| decode(&parts(method, Some("a"), "/", &[]), Follows::Nothing, &Limits::default());
    assert_eq!(method("PURGE").unwrap().0.method.as_str(), "PURGE");
    assert_eq!(method(&"M".repeat(33)).unwrap_err(), (501, "method_too_long"));
    let connect = Request::builder().method("CONNECT").uri("a:443").body(()).unwrap().into_parts().0;
    assert_eq!(decode(&connect, Follows::More, &Limits::default()).unwrap_err(), (501, "connect_unsupported"));
}

/// As over HTTP/1: fields that describe a connection or pretend to be others
/// are left out, and `te` says what is so anyway.
#[test]
fn what_concerns_one_connection_stays_behind() {
    let (head, _) = with(&[("te", "trailers"), ("http2-settings", "AAMAAABk"), ("x", "1")]).unwrap();
    assert_eq!(fields(&head.headers), [("x".into(), "1".into())]);
}

/// It is of the whole way; hosts of HTTP/1.1 do not need it.
#[test]
fn an_announcement_of_trailers_goes_on() {
    let (head, _) = with(&[("trailer", "x")]).unwrap();
    assert_eq!(fields(&head.headers), [("trailer".into(), "x".into())]);
}

/// A refused head says of the request what the access log can.
#[test]
fn a_refused_head_names_its_request() {
    let mut head = RequestHead::default();
    let parts = parts("PUT", Some("A"), "/p", &[("connection", "close")]);
    decode_request(&parts, Follows::Nothing, &Limits::default(), &mut head).unwrap_err();
    assert_eq!((head.method.as_str(), head.target(), head.authority.as_str()), ("PUT", "/p", "a"));
}

#[test]
fn trailers_are_those_that_may_stand_there() {
    let mut trailers = Headers::new();
    let pairs = [
        ("grpc-status", "0"),
        ("host", "b"),
        ("content-length", "5"),
        ("authorization", "x"),
        ("x_forwarded_for", "1"),
        ("te", "trailers"),
        ("x", ""),
        ("grpc-status", "1"),
    ];
    decode_trailers(&map(&pairs), &Limits::default(), &mut trailers).unwrap();
    let expected = [("grpc-status", "0"), ("grpc-status", "1"), ("x", "")];
    assert_eq!(fields(&trailers), expected.map(|(name, value)| (name.into(), value.into())));
}

#[test]
fn trailers_are_bounded_and_checked() {
    let refused = |pairs: &[(&str, &str)]| {
        let limits = Limits { max_headers: 2, max_trailer_bytes: 64, ..Limits::default() };
        decode_trailers(&map(pairs), &limits, &mut Headers::new()).map_err(|error| (error.status, error.details))
    };
    assert_eq!(refused(&[("a", "1"), ("a", "2")]), Ok(()));
    assert_eq!(refused(&[("a", "1"), ("a", "2"), ("a", "3")]), Err((431, "trailers_too_large")));
    assert_eq!(refused(&[("a", &"v".repeat(59))]), Ok(()));
    assert_eq!(refused(&[("a", &"v".repeat(60))]), Err((431, "trailers_too_large")));
    assert_eq!(refused(&[("a", " v")]), Err((400, "trailer_invalid")));
}
