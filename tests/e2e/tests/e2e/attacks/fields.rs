//! Field lines.

use super::Expect::{Forwarded, Refused};
use super::{bytes, case, run};

#[test]
fn lines() {
    run(&[
        case(
            "order and repetition are kept",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 2\r\nx: 1\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1", "host: a", "x: 1", "x: 2"], ""),
        ),
        case(
            "empty value",
            "GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1", "host: a", "x: "], ""),
        ),
        bytes(
            "bytes above ASCII in a value",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: \xe4\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1", "host: a", "x: \u{e4}"], ""),
        ),
        case("no colon", "GET / HTTP/1.1\r\nHost: a\r\nbad\r\n\r\n", Refused(400)),
        case("empty name", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", Refused(400)),
        case("blank in the name", "GET / HTTP/1.1\r\nHost: a\r\nX Y: x\r\n\r\n", Refused(400)),
        case("blank before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX : x\r\n\r\n", Refused(400)),
        case("blank before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", Refused(400)),
        case("folded", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", Refused(400)),
        case("folded with a tab", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n", Refused(400)),
        case("NUL in the name", "GET / HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n", Refused(400)),
        case("NUL in the value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Refused(400)),
        case("NUL at the end of a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0\r\n\r\n", Refused(400)),
        case("bare CR in the value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", Refused(400)),
        case("bare CR splits", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rContent-Length: 3\r\n\r\n", Refused(400)),
        case("bare LF splits", "GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n", Refused(400)),
        case("CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n", Refused(400)),
        case("bare LF ends the head", "GET / HTTP/1.1\r\nHost: a\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
        case("control byte in the value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\u{1}b\r\n\r\n", Refused(400)),
        case("escape byte in the value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\u{1b}[31m\r\n\r\n", Refused(400)),
        case("DEL in the value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\u{7f}b\r\n\r\n", Refused(400)),
        case("not ASCII in the name", "GET / HTTP/1.1\r\nHost: a\r\nX\u{e4}: a\r\n\r\n", Refused(400)),
        case("parenthesis in the name", "GET / HTTP/1.1\r\nHost: a\r\nX(): a\r\n\r\n", Refused(400)),
        case("quote in the name", "GET / HTTP/1.1\r\nHost: a\r\n\"X\": a\r\n\r\n", Refused(400)),
    ]);
}

#[test]
fn connection_lists() {
    run(&[
        case("Host", "GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n", Refused(400)),
        case(
            "Content-Length",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close, Content-Length\r\nContent-Length: 3\r\n\r\nabc",
            Refused(400),
        ),
        case(
            "Transfer-Encoding",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Refused(400),
        ),
        case(
            "in a second field",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: Host\r\n\r\n",
            Refused(400),
        ),
        case("no token", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nConnection: \u{1}\r\n\r\n", Refused(400)),
        case(
            "others are dropped",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: , x-a,,Y-B ,keep-alive\r\nX-A: 1\r\ny-b: 1\r\nZ: 1\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1", "host: a", "z: 1"], ""),
        ),
        case(
            "TE, Keep-Alive and Proxy-Connection stay here, listed or not",
            "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip;q=1\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\n\r\n",
            Forwarded(&["GET / HTTP/1.1", "host: a"], ""),
        ),
    ]);
}
