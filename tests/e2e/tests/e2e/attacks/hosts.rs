//! Host and the authority of absolute-form targets.

use super::Expect::{Forwarded, Refused, RefusedAs};
use super::{case, run};

#[test]
fn host_field() {
    run(&[
        case("name", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", Forwarded(&["GET / HTTP/1.1", "host: a"], "")),
        case("port", "GET / HTTP/1.1\r\nHost: a:8080\r\n\r\n", Forwarded(&["GET / HTTP/1.1", "host: a:8080"], "")),
        case(
            "IPv6",
            "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1", "host: [::1]:8080"], ""),
        ),
        case("missing", "GET / HTTP/1.1\r\nX: a\r\n\r\n", Refused(400)),
        case("empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n", Refused(400)),
        case("blank", "GET / HTTP/1.1\r\nHost:  \t \r\n\r\n", Refused(400)),
        case("twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Refused(400)),
        case("twice the same", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", Refused(400)),
        case("comma", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", Refused(400)),
        case("comma and blank", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Refused(400)),
        case("userinfo", "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", Refused(400)),
        case("userinfo with password", "GET / HTTP/1.1\r\nHost: user:pw@a\r\n\r\n", Refused(400)),
        case("path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refused(400)),
        case("query", "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", Refused(400)),
        case("fragment", "GET / HTTP/1.1\r\nHost: a#b\r\n\r\n", Refused(400)),
        case("backslash", "GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n", Refused(400)),
        case("inner blank", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Refused(400)),
        case("port of letters", "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", Refused(400)),
        case("port too large", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", Refused(400)),
        case("signed port", "GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n", Refused(400)),
        case("two ports", "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", Refused(400)),
        case("open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Refused(400)),
        case("bytes after the bracket", "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", Refused(400)),
        case("angle bracket", "GET / HTTP/1.1\r\nHost: <a>\r\n\r\n", Refused(400)),
        case("quote", "GET / HTTP/1.1\r\nHost: \"a\"\r\n\r\n", Refused(400)),
        case("not ASCII", "GET / HTTP/1.1\r\nHost: \u{e4}\r\n\r\n", Refused(400)),
        case("NUL", "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", Refused(400)),
        case("blank before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", Refused(400)),
        case("HTTP/1.0 twice", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", Refused(400)),
    ]);
}

#[test]
fn absolute_form() {
    run(&[
        case(
            "replaces Host",
            "GET http://b/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["GET /x?y HTTP/1.1", "host: b"], ""),
        ),
        case("without path", "GET http://b HTTP/1.1\r\nHost: b\r\n\r\n", Forwarded(&["GET / HTTP/1.1", "host: b"], "")),
        case(
            "only query",
            "GET http://b?q HTTP/1.1\r\nHost: b\r\n\r\n",
            Forwarded(&["GET /?q HTTP/1.1", "host: b"], ""),
        ),
        case(
            "scheme and host without case",
            "GET HTTP://B:80/x HTTP/1.1\r\nHost: a\r\n\r\n",
            Forwarded(&["GET /x HTTP/1.1", "host: b:80"], ""),
        ),
        case(
            "dot segments",
            "GET http://b/a/../x HTTP/1.1\r\nHost: b\r\n\r\n",
            Forwarded(&["GET /x HTTP/1.1", "host: b"], ""),
        ),
        case("without Host", "GET http://b/ HTTP/1.1\r\n\r\n", Refused(400)),
        case("userinfo", "GET http://user@b/ HTTP/1.1\r\nHost: b\r\n\r\n", Refused(400)),
        case("no authority", "GET http:///x HTTP/1.1\r\nHost: b\r\n\r\n", Refused(400)),
        case("no slashes", "GET http:b/x HTTP/1.1\r\nHost: b\r\n\r\n", Refused(400)),
        case("bad port", "GET http://b:x/ HTTP/1.1\r\nHost: b\r\n\r\n", Refused(400)),
        case("fragment", "GET http://b/x#y HTTP/1.1\r\nHost: b\r\n\r\n", Refused(400)),
        case("other scheme", "GET ftp://b/x HTTP/1.1\r\nHost: b\r\n\r\n", RefusedAs(&[400, 421])),
        case("script scheme", "GET javascript:x HTTP/1.1\r\nHost: b\r\n\r\n", Refused(400)),
        case("two Hosts", "GET http://b/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Refused(400)),
    ]);
}
