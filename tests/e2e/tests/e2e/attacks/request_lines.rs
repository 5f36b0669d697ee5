//! Request lines.

use super::Expect::{Either, Forwarded, Refused, RefusedAs};
use super::{bytes, case, run};

const PLAIN: &[&str] = &["GET / HTTP/1.1", "host: a"];

#[test]
fn line_shape() {
    run(&[
        case("leading CRLF", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Forwarded(PLAIN, "")),
        case("two leading CRLF", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Forwarded(PLAIN, "")),
        case("leading blank", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("two blanks", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("two blanks before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("trailing blank", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Refused(400)),
        case("tabs", "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n", Refused(400)),
        case("bare LF everywhere", "GET / HTTP/1.1\nHost: a\n\n", Refused(400)),
        case("bare CR", "GET / HTTP/1.1\rHost: a\r\n\r\n", Refused(400)),
        case("CR CR LF", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", Refused(400)),
        case("NUL", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("no version", "GET /\r\nHost: a\r\n\r\n", RefusedAs(&[400, 505])),
        case("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("four words", "GET / x HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        bytes("TLS hello", b"\x16\x03\x01\x00\xf1\x01\x00\x00\xed\x03\x03\r\n\r\n", Refused(400)),
        case("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", RefusedAs(&[400, 505])),
    ]);
}

#[test]
fn versions() {
    run(&[
        case("lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", RefusedAs(&[400, 505])),
        case("0.9", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", RefusedAs(&[400, 505])),
        case("2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", RefusedAs(&[400, 505])),
        case("1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", RefusedAs(&[400, 505])),
        case("1,1", "GET / HTTP/1,1\r\nHost: a\r\n\r\n", RefusedAs(&[400, 505])),
        case("1.", "GET / HTTP/1.\r\nHost: a\r\n\r\n", RefusedAs(&[400, 505])),
        case("01.1", "GET / HTTP/01.1\r\nHost: a\r\n\r\n", RefusedAs(&[400, 505])),
        case("another protocol", "GET / FTP/1.1\r\nHost: a\r\n\r\n", RefusedAs(&[400, 505])),
        // RFC 9110 section 2.5: a higher minor version may be read as the highest one knows.
        case("1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", RefusedAs(&[400, 505])),
    ]);
}

#[test]
fn methods() {
    run(&[
        case("unknown", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", Forwarded(&["BREW / HTTP/1.1", "host: a"], "")),
        case(
            "lower case is another method",
            "get / HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["get / HTTP/1.1", "host: a"], ""),
        ),
        case("colon", "GE:T / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("parenthesis", "GET( / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("not ASCII", "G\u{e4}T / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("control byte", "GE\u{1}T / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", RefusedAs(&[400, 404, 405, 501])),
        case("GET with a body", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", GET_WITH_BODY),
    ]);

    const GET_WITH_BODY: super::Expect = Either(&["GET / HTTP/1.1", "content-length: 3", "host: a"], "abc");
}

#[test]
fn targets() {
    run(&[
        case("GET *", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("OPTIONS *x", "OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("fragment in the query", "GET /a?b#c HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("no slash", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("only a query", "GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("not ASCII", "GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("not ASCII in the query", "GET /?\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("control byte", "GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("DEL", "GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("vertical tab", "GET /\u{b} HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("encoded NUL", "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("encoded CRLF stays encoded", "GET /a%0d%0ab HTTP/1.1\r\nHost: a\r\n\r\n", ENCODED_CRLF),
        case("incomplete encoding", "GET /a%2 HTTP/1.1\r\nHost: a\r\n\r\n", INCOMPLETE),
        case("bad encoding", "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n", BAD_ENCODING),
        case("backslash", "GET /a\\..\\b HTTP/1.1\r\nHost: a\r\n\r\n", BACKSLASH),
        case("two slashes", "GET //b/x HTTP/1.1\r\nHost: a\r\n\r\n", Forwarded(&["GET /b/x HTTP/1.1", "host: a"], "")),
    ]);

    const ENCODED_CRLF: super::Expect = Either(&["GET /a%0d%0ab HTTP/1.1", "host: a"], "");
    const INCOMPLETE: super::Expect = Either(&["GET /a%2 HTTP/1.1", "host: a"], "");
    const BAD_ENCODING: super::Expect = Either(&["GET /a%zz HTTP/1.1", "host: a"], "");
    const BACKSLASH: super::Expect = Either(&["GET /a\\..\\b HTTP/1.1", "host: a"], "");
}
