//! Chunked bodies.

use super::Expect::{BadBody, Either, Forwarded};
use super::{Case, bytes, run};

const CHUNKED: &[&str] = &["POST / HTTP/1.1", "host: a", "transfer-encoding: chunked"];

/// A case whose head is fine and whose body is `$body`.
macro_rules! chunked {
    ($name:expr, $body:literal, $expect:expr) => {
        bytes(
            $name,
            concat!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", $body).as_bytes(),
            $expect,
        )
    };
}

#[test]
fn chunk_sizes() {
    run(&[
        chunked!(
            "upper and lower case",
            "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
            Forwarded(CHUNKED, "01234567890123456789")
        ),
        chunked!("leading zeros", "003\r\nabc\r\n00\r\n\r\n", Either(CHUNKED, "abc")),
        chunked!("hexadecimal prefix", "0x3\r\nabc\r\n0\r\n\r\n", BadBody),
        chunked!("underscore", "1_0\r\n0123456789abcdef\r\n0\r\n\r\n", BadBody),
        chunked!("minus zero", "3\r\nabc\r\n-0\r\n\r\n", BadBody),
        chunked!("plus sign", "+3\r\nabc\r\n0\r\n\r\n", BadBody),
        chunked!("minus sign", "-3\r\nabc\r\n0\r\n\r\n", BadBody),
        chunked!("leading blank", " 3\r\nabc\r\n0\r\n\r\n", BadBody),
        chunked!("trailing blank", "3 \r\nabc\r\n0\r\n\r\n", Either(CHUNKED, "abc")),
        chunked!("inner blank", "0 3\r\nabc\r\n0\r\n\r\n", BadBody),
        chunked!("empty", "\r\nabc\r\n0\r\n\r\n", BadBody),
        chunked!("no digits", "xyz\r\nabc\r\n0\r\n\r\n", BadBody),
        chunked!("above 64 bits", "10000000000000003\r\nabc\r\n0\r\n\r\n", BadBody),
        chunked!("all 64 bits", "ffffffffffffffff\r\nabc\r\n0\r\n\r\n", BadBody),
        chunked!(
            "many zeros",
            "00000000000000000000000000000000000000000000000000000000000000000000003\r\nabc\r\n0\r\n\r\n",
            Either(CHUNKED, "abc")
        ),
    ]);
}

#[test]
fn chunk_line_ends() {
    run(&[
        chunked!("bare LF after the size", "3\nabc\r\n0\r\n\r\n", BadBody),
        chunked!("bare CR after the size", "3\rabc\r\n0\r\n\r\n", BadBody),
        chunked!("CR CR LF after the size", "3\r\r\nabc\r\n0\r\n\r\n", BadBody),
        chunked!("bare LF after the data", "3\r\nabc\n0\r\n\r\n", BadBody),
        chunked!("bare CR after the data", "3\r\nabc\r0\r\n\r\n", BadBody),
        chunked!("nothing after the data", "3\r\nabc0\r\n\r\n", BadBody),
        chunked!("other bytes after the data", "3\r\nabcXY0\r\n\r\n", BadBody),
        chunked!("size too small", "2\r\nabc\r\n0\r\n\r\n", BadBody),
        chunked!("bare LF after the last chunk", "3\r\nabc\r\n0\n\r\n", BadBody),
        chunked!("bare LF at the end", "3\r\nabc\r\n0\r\n\n", BadBody),
        chunked!("bare LF in a trailer", "3\r\nabc\r\n0\r\nX: a\n\r\n", BadBody),
    ]);
}

#[test]
fn chunk_extensions() {
    run(&[
        chunked!("name", "3;a\r\nabc\r\n0\r\n\r\n", Forwarded(CHUNKED, "abc")),
        chunked!("name and value", "3;a=b\r\nabc\r\n0;c=d\r\n\r\n", Forwarded(CHUNKED, "abc")),
        chunked!("quoted value", "3;a=\"b c\"\r\nabc\r\n0\r\n\r\n", Forwarded(CHUNKED, "abc")),
        chunked!("blanks around", "3 ; a = b\r\nabc\r\n0\r\n\r\n", Either(CHUNKED, "abc")),
        chunked!("bare semicolon", "3;\r\nabc\r\n0\r\n\r\n", Either(CHUNKED, "abc")),
        chunked!("NUL", "3;a\0b\r\nabc\r\n0\r\n\r\n", BadBody),
        chunked!("bare CR", "3;a\rb\r\nabc\r\n0\r\n\r\n", BadBody),
        chunked!("bare LF", "3;a\nabc\r\n0\r\n\r\n", BadBody),
        chunked!("bare LF hides a chunk", "3;a\nX\r\nabc\r\n0\r\n\r\n", BadBody),
        chunked!("quoted line end", "3;a=\"\r\nabc\r\n0\r\n\r\n", BadBody),
    ]);
}

#[test]
fn trailer_lines() {
    let cases: &[Case] = &[
        chunked!("no colon", "3\r\nabc\r\n0\r\nbad\r\n\r\n", BadBody),
        chunked!("blank in the name", "3\r\nabc\r\n0\r\nX Y: a\r\n\r\n", BadBody),
        chunked!("folded", "3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n", BadBody),
        chunked!("NUL in the value", "3\r\nabc\r\n0\r\nX: a\0b\r\n\r\n", BadBody),
        chunked!("bare CR in the value", "3\r\nabc\r\n0\r\nX: a\rb\r\n\r\n", BadBody),
    ];
    run(cases);
}
