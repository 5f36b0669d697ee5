//! Content-Length and Transfer-Encoding.

use super::Expect::{Either, Forwarded, Refused, RefusedAs};
use super::{bytes, case, run};

const CHUNKED: &[&str] = &["POST / HTTP/1.1", "host: a", "transfer-encoding: chunked"];
const LENGTH_3: &[&str] = &["POST / HTTP/1.1", "content-length: 3", "host: a"];

#[test]
fn content_length() {
    run(&[
        case("plain", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", Forwarded(LENGTH_3, "abc")),
        case(
            "equal duplicates are sent once",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            Forwarded(LENGTH_3, "abc"),
        ),
        case(
            "an equal list is sent once or refused",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
            Either(LENGTH_3, "abc"),
        ),
        case("leading zeros", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0003\r\n\r\nabc", Either(LENGTH_3, "abc")),
        case(
            "outer blanks",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\t 3 \t\r\n\r\nabc",
            Forwarded(LENGTH_3, "abc"),
        ),
        case(
            "differing",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            Refused(400),
        ),
        case("differing list", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 4\r\n\r\nabcd", Refused(400)),
        case("plus sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", Refused(400)),
        case("minus sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", Refused(400)),
        case("minus zero", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -0\r\n\r\n", Refused(400)),
        case("underscore", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n0123456789", Refused(400)),
        case("hexadecimal", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", Refused(400)),
        case("fraction", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3.0\r\n\r\nabc", Refused(400)),
        case("exponent", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3e0\r\n\r\nabc", Refused(400)),
        case("inner blank", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 0\r\n\r\n0123456789", Refused(400)),
        case("quoted", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \"3\"\r\n\r\nabc", Refused(400)),
        case("empty", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", Refused(400)),
        case(
            "empty, then 3",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\nContent-Length: 3\r\n\r\nabc",
            Refused(400),
        ),
        case("trailing comma", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3,\r\n\r\nabc", Refused(400)),
        case(
            "above 64 bits",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551619\r\n\r\nabc",
            RefusedAs(&[400, 413]),
        ),
        case(
            "2^63",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 340282366920938463463374607431768211459\r\n\r\nabc",
            RefusedAs(&[400, 413]),
        ),
        case("blank before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc", Refused(400)),
        case("vertical tab", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \u{b}3\r\n\r\nabc", Refused(400)),
        bytes(
            "not ASCII digit",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \u{ff13}\r\n\r\nabc".as_bytes(),
            Refused(400),
        ),
    ]);
}

#[test]
fn transfer_encoding() {
    const BODY: &str = "abc";
    run(&[
        case(
            "chunked",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            Forwarded(CHUNKED, BODY),
        ),
        case(
            "any case",
            "POST / HTTP/1.1\r\nHost: a\r\ntransfer-ENCODING: ChUnKeD\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            Forwarded(CHUNKED, BODY),
        ),
        case(
            "trailing blank",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked \t\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            Either(CHUNKED, BODY),
        ),
        case(
            "with a length",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Refused(400),
        ),
        case(
            "with a length after it",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            Refused(400),
        ),
        case("leading comma", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", REFUSED),
        case("trailing comma", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", REFUSED),
        case("vertical tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n", REFUSED),
        case("form feed", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\u{c}\r\n\r\n0\r\n\r\n", REFUSED),
        case(
            "twice in a list",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            REFUSED,
        ),
        case(
            "two fields",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            REFUSED,
        ),
        case(
            "two fields, the second unknown",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n",
            REFUSED,
        ),
        case(
            "gzip, chunked",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            REFUSED,
        ),
        case(
            "chunked, gzip",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
            REFUSED,
        ),
        case("identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", REFUSED),
        case(
            "identity with length",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc",
            REFUSED,
        ),
        case("empty", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", REFUSED),
        case("parameter", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", REFUSED),
        case("quoted", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", REFUSED),
        case("prefix", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", REFUSED),
        case("suffix", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n", REFUSED),
        case("HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", REFUSED),
        case(
            "blank before the colon",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            REFUSED,
        ),
        case(
            "tab before the colon",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
            REFUSED,
        ),
        case("folded", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", REFUSED),
        case("NUL", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", REFUSED),
        case(
            "underscore in the name",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer_Encoding: chunked\r\n\r\nabc",
            UNDERSCORE,
        ),
    ]);

    const REFUSED: super::Expect = RefusedAs(&[400, 501]);
    // Some servers read `_` as `-`: such a name must not travel on.
    const UNDERSCORE: super::Expect = Either(LENGTH_3, BODY);
}
