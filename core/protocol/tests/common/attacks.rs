//! Inputs that two parsers may understand differently, and what has to become
//! of each. The reference test runs the same table against bare hyper.

use Want::{Refused, Taken};

/// One input.
pub struct Attack {
    pub name: &'static str,
    pub input: Vec<u8>,
    pub want: Want,
}

/// What has to become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Refused with this status and reason.
    Refused(u16, &'static str),
    /// Taken, with this authority and target.
    Taken(&'static str, &'static str),
}

/// A GET with `lines` instead of a Host field.
fn get(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\n{lines}\r\n").into_bytes()
}

/// A GET for `target`.
fn target(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes()
}

/// A POST with framing `lines` and what follows the head.
fn post(lines: &str, rest: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n{rest}").into_bytes()
}

/// A POST with chunked content.
fn chunked(content: &str) -> Vec<u8> {
    post("transfer-encoding: chunked\r\n", content)
}

/// All attacks on requests.
pub fn requests() -> Vec<Attack> {
    let mut all = Vec::new();
    for part in [hosts(), targets(), lengths(), codings(), chunks(), lines(), connections(), sizes()] {
        all.extend(part.into_iter().map(|(name, input, want)| Attack { name, input, want }));
    }
    all
}

type Rows = Vec<(&'static str, Vec<u8>, Want)>;

fn hosts() -> Rows {
    vec![
        ("Host missing", get(""), Refused(400, "host_missing")),
        ("Host missing, HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n".to_vec(), Taken("", "/")),
        ("Host twice", get("host: a\r\nhost: b\r\n"), Refused(400, "host_repeated")),
        ("Host twice, equal", get("host: a\r\nhost: a\r\n"), Refused(400, "host_repeated")),
        ("Host empty", get("host:\r\n"), Refused(400, "host_empty")),
        ("Host `a, b`", get("host: a, b\r\n"), Refused(400, "host_invalid")),
        ("Host `a,b`", get("host: a,b\r\n"), Refused(400, "host_invalid")),
        ("Host `user@a`", get("host: user@a\r\n"), Refused(400, "host_invalid")),
        ("Host `a/b`", get("host: a/b\r\n"), Refused(400, "host_invalid")),
        ("Host `a..b`", get("host: a..b\r\n"), Refused(400, "host_invalid")),
        ("Host `a..`", get("host: a..\r\n"), Refused(400, "host_invalid")),
        ("Host `a b`", get("host: a b\r\n"), Refused(400, "host_invalid")),
        ("Host `a:b`", get("host: a:b\r\n"), Refused(400, "port_invalid")),
        ("Host `a:65536`", get("host: a:65536\r\n"), Refused(400, "port_invalid")),
        ("Host `a:+80`", get("host: a:+80\r\n"), Refused(400, "port_invalid")),
        ("Host not ASCII", get("host: \u{e9}\r\n"), Refused(400, "host_invalid")),
        ("Host `A.Example:80`", get("host: A.Example:80\r\n"), Taken("a.example:80", "/")),
        ("Host `[::1]:80`", get("host: [::1]:80\r\n"), Taken("[::1]:80", "/")),
    ]
}

fn targets() -> Rows {
    vec![
        ("absolute-form with another Host", target("http://B.example:81/x?y"), Taken("b.example:81", "/x?y")),
        ("absolute-form without path", target("HTTP://b?y"), Taken("b", "/?y")),
        ("absolute-form with userinfo", target("http://u@b/"), Refused(400, "host_invalid")),
        ("absolute-form without host", target("http:///x"), Refused(400, "host_empty")),
        ("absolute-form, scheme ftp", target("ftp://b/"), Refused(400, "scheme_unsupported")),
        ("absolute-form, no Host field", b"GET http://b/ HTTP/1.1\r\n\r\n".to_vec(), Refused(400, "host_missing")),
        ("`GET *`", target("*"), Refused(400, "asterisk_target")),
        ("`OPTIONS *`", b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), Taken("a", "*")),
        ("CONNECT", b"CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\n\r\n".to_vec(), Refused(501, "connect_unsupported")),
        ("authority-form with GET", target("b:80"), Refused(400, "target_invalid")),
        ("target without slash", target("x"), Refused(400, "target_invalid")),
        ("fragment", target("/x#y"), Refused(400, "fragment_in_target")),
        ("fragment after the query", target("/x?y#z"), Refused(400, "fragment_in_target")),
        ("target not ASCII", target("/\u{e9}"), Refused(400, "target_invalid")),
        ("target not ASCII in the query", target("/?\u{e9}"), Refused(400, "target_invalid")),
        ("target with a control byte", target("/\u{1}"), Refused(400, "start_line_invalid")),
        ("target with DEL", target("/\u{7f}"), Refused(400, "start_line_invalid")),
        ("target with a blank", target("/a b"), Refused(400, "version_invalid")),
        ("target with a tab", target("/a\tb"), Refused(400, "start_line_invalid")),
        ("path with a backslash", target("/a\\..\\b"), Refused(400, "backslash_in_path")),
        ("`/a/../x`", target("/a/../x?a/../b"), Taken("a", "/x?a/../b")),
        ("`/a/%2e%2E/x`", target("/a/%2e%2E/x"), Taken("a", "/x")),
        ("`/../../x`", target("/../../x"), Taken("a", "/x")),
        ("`/a%2f..%2Fb`", target("/a%2f..%2Fb"), Taken("a", "/a%2f..%2Fb")),
        ("`/a%5c..%5Cb`", target("/a%5c..%5Cb"), Taken("a", "/a%5c..%5Cb")),
        ("`//x`", target("//x"), Taken("a", "/x")),
        ("`/a;x`", target("/a;x"), Taken("a", "/a;x")),
        ("`/%252e%252e/x`", target("/%252e%252e/x"), Taken("a", "/%252e%252e/x")),
        ("`/%61dmin`", target("/%61dmin"), Taken("a", "/admin")),
        ("`/%00`", target("/%00"), Refused(400, "nul_in_path")),
        ("`/%zz`", target("/%zz"), Refused(400, "escape_invalid")),
        ("`/%2`", target("/%2"), Refused(400, "escape_invalid")),
        ("query `?%zz%00`", target("/?%zz%00"), Taken("a", "/?%zz%00")),
    ]
}

fn lengths() -> Rows {
    const INVALID: Want = Refused(400, "content_length_invalid");
    const DIFFERS: Want = Refused(400, "content_length_differs");
    vec![
        ("CL differing", post("content-length: 5\r\ncontent-length: 6\r\n", "hello!"), DIFFERS),
        ("CL `5, 6`", post("content-length: 5, 6\r\n", "hello!"), DIFFERS),
        ("CL twice, equal", post("content-length: 5\r\ncontent-length: 5\r\n", "hello"), Taken("a", "/")),
        ("CL `5, 5`", post("content-length: 5, 5\r\n", "hello"), Taken("a", "/")),
        ("CL `+10`", post("content-length: +10\r\n", "0123456789"), INVALID),
        ("CL `-0`", post("content-length: -0\r\n", ""), INVALID),
        ("CL `1_0`", post("content-length: 1_0\r\n", "0123456789"), INVALID),
        ("CL `0x10`", post("content-length: 0x10\r\n", "0123456789abcdef"), INVALID),
        ("CL `1 0`", post("content-length: 1 0\r\n", "0123456789"), INVALID),
        ("CL empty", post("content-length:\r\n", ""), INVALID),
        ("CL empty, then 5", post("content-length:\r\ncontent-length: 5\r\n", "hello"), INVALID),
        ("CL `,5`", post("content-length: ,5\r\n", "hello"), INVALID),
        ("CL of 20 digits, past 64 bits", post("content-length: 18446744073709551616\r\n", ""), INVALID),
    ]
}

fn codings() -> Rows {
    const CONTENT: &str = "5\r\nhello\r\n0\r\n\r\n";
    const BAD: Want = Refused(400, "transfer_encoding_unsupported");
    const UNKNOWN: Want = Refused(501, "transfer_encoding_unsupported");
    let te = |value: &str| post(&format!("transfer-encoding: {value}\r\n"), CONTENT);
    vec![
        (
            "CL with TE",
            post("content-length: 5\r\ntransfer-encoding: chunked\r\n", CONTENT),
            Refused(400, "content_length_with_transfer_encoding"),
        ),
        (
            "TE with CL",
            post("transfer-encoding: chunked\r\ncontent-length: 5\r\n", CONTENT),
            Refused(400, "content_length_with_transfer_encoding"),
        ),
        ("TE `,chunked`", te(",chunked"), BAD),
        ("TE `chunked,`", te("chunked,"), BAD),
        ("TE `\\x0bchunked`", te("\u{b}chunked"), Refused(400, "header_value_invalid")),
        ("TE `chunked` after a tab", te("\tchunked"), Taken("a", "/")),
        ("TE `chunked` with a trailing blank", te("chunked "), Taken("a", "/")),
        ("TE `Chunked`", te("Chunked"), Taken("a", "/")),
        ("TE `chunked, chunked`", te("chunked, chunked"), BAD),
        (
            "TE twice",
            post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", CONTENT),
            Refused(400, "transfer_encoding_repeated"),
        ),
        ("TE `gzip, chunked`", te("gzip, chunked"), UNKNOWN),
        ("TE `chunked, gzip`", te("chunked, gzip"), BAD),
        ("TE `gzip`", te("gzip"), UNKNOWN),
        ("TE `identity`", te("identity"), UNKNOWN),
        ("TE `xchunked`", te("xchunked"), UNKNOWN),
        ("TE `chunked;a=b`", te("chunked;a=b"), BAD),
        ("TE `\"chunked\"`", te("\"chunked\""), BAD),
        ("TE empty", te(""), BAD),
        (
            "TE with HTTP/1.0",
            format!("POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{CONTENT}").into_bytes(),
            Refused(400, "transfer_encoding_in_http10"),
        ),
        ("`Transfer-Encoding : chunked`", post("transfer-encoding : chunked\r\n", CONTENT), NAME),
    ]
}

const NAME: Want = Refused(400, "header_name_invalid");

fn chunks() -> Rows {
    const SIZE: Want = Refused(400, "chunk_size_invalid");
    const END: Want = Refused(400, "chunk_end_invalid");
    const EXTENSION: Want = Refused(400, "chunk_extension_invalid");
    const LINE_END: Want = Refused(400, "chunk_line_end_invalid");
    vec![
        ("chunk size `0x5`", chunked("0x5\r\nhello\r\n0\r\n\r\n"), SIZE),
        ("chunk size `1_0`", chunked("1_0\r\n0123456789abcdef\r\n0\r\n\r\n"), SIZE),
        ("chunk size `-0`", chunked("-0\r\n\r\n"), SIZE),
        ("chunk size `+5`", chunked("+5\r\nhello\r\n0\r\n\r\n"), SIZE),
        ("chunk size after a blank", chunked(" 5\r\nhello\r\n0\r\n\r\n"), SIZE),
        ("chunk size before a blank", chunked("5 \r\nhello\r\n0\r\n\r\n"), EXTENSION),
        ("chunk size empty", chunked("\r\nhello\r\n0\r\n\r\n"), SIZE),
        ("chunk size of 17 digits", chunked("00000000000000005\r\nhello\r\n0\r\n\r\n"), SIZE),
        ("chunk line ends with LF", chunked("5\nhello\r\n0\r\n\r\n"), SIZE),
        ("chunk line ends with CR", chunked("5\rhello\r\n0\r\n\r\n"), LINE_END),
        ("last chunk ends with LF", chunked("5\r\nhello\r\n0\n\r\n"), SIZE),
        ("data ends with LF", chunked("5\r\nhello\n0\r\n\r\n"), END),
        ("data ends with CR", chunked("5\r\nhello\r0\r\n\r\n"), END),
        ("data longer than its size", chunked("5\r\nhello!\r\n0\r\n\r\n"), END),
        ("data not followed by CRLF", chunked("5\r\nhello0\r\n\r\n"), END),
        ("body ends with LF", chunked("5\r\nhello\r\n0\r\n\n"), Refused(400, "bare_line_feed")),
        ("chunk extension `;a=b`", chunked("5;a=b\r\nhello\r\n0\r\n\r\n"), Taken("a", "/")),
        ("chunk extension quoted", chunked("5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n"), Taken("a", "/")),
        ("chunk extension bare `;`", chunked("5;\r\nhello\r\n0\r\n\r\n"), EXTENSION),
        ("chunk extension with NUL", chunked("5;a\0\r\nhello\r\n0\r\n\r\n"), EXTENSION),
        ("chunk extension with CR", chunked("5;a\rb\r\nhello\r\n0\r\n\r\n"), LINE_END),
        ("chunk extension with LF", chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"), EXTENSION),
        (
            "chunk extension of 10,000 bytes",
            chunked(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(10_000))),
            Refused(400, "chunk_extension_too_long"),
        ),
        (
            "10,000 one-byte chunks with 30-byte extensions",
            chunked(&format!("{}0\r\n\r\n", format!("1;{}\r\nx\r\n", "a".repeat(29)).repeat(10_000))),
            Refused(400, "chunk_extensions_too_long"),
        ),
        (
            "trailers with Host, Authorization, CL",
            chunked("5\r\nhello\r\n0\r\nhost: b\r\nauthorization: x\r\ncontent-length: 1\r\n\r\n"),
            Taken("a", "/"),
        ),
        ("trailer with NUL", chunked("0\r\na: \0\r\n\r\n"), Refused(400, "trailer_invalid")),
        ("trailer with LF", chunked("0\r\na: b\nc: d\r\n\r\n"), Refused(400, "bare_line_feed")),
        ("trailer folded", chunked("0\r\na: b\r\n c\r\n\r\n"), Refused(400, "trailer_invalid")),
        ("trailer `a : b`", chunked("0\r\na : b\r\n\r\n"), Refused(400, "trailer_invalid")),
        (
            "trailers of 20,000 bytes",
            chunked(&format!("0\r\n{}\r\n", "a: bcdefg\r\n".repeat(1819))),
            Refused(431, "trailers_too_large"),
        ),
    ]
}

fn lines() -> Rows {
    const VALUE: Want = Refused(400, "header_value_invalid");
    const START: Want = Refused(400, "start_line_invalid");
    const LF: Want = Refused(400, "bare_line_feed");
    let raw = |text: &str| text.as_bytes().to_vec();
    vec![
        ("LF ends the request line", raw("GET / HTTP/1.1\nhost: a\r\n\r\n"), LF),
        ("LF ends a field", raw("GET / HTTP/1.1\r\nhost: a\nb: c\r\n\r\n"), LF),
        ("LF ends the head", raw("GET / HTTP/1.1\r\nhost: a\r\n\n"), LF),
        ("LF before the request line", raw("\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"), LF),
        ("CR in a field value", get("host: a\r\nb: c\rd\r\n"), VALUE),
        ("NUL in a field value", get("host: a\r\nb: c\0d\r\n"), VALUE),
        ("NUL in a field name", get("host: a\r\nb\0: c\r\n"), NAME),
        ("folded field", get("host: a\r\nb: c\r\n d\r\n"), NAME),
        ("blank before the first field", get(" host: a\r\n"), NAME),
        ("blank before the colon", get("host : a\r\n"), NAME),
        ("field without a colon", get("host: a\r\nb\r\n"), NAME),
        ("field without a name", get("host: a\r\n: b\r\n"), NAME),
        ("CRLF before the request line", raw("\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"), Taken("a", "/")),
        (
            "100 CRLF before the request line",
            raw(&format!("{}GET / HTTP/1.1\r\nhost: a\r\n\r\n", "\r\n".repeat(100))),
            Refused(400, "too_many_blank_lines"),
        ),
        ("two blanks in the request line", raw("GET  / HTTP/1.1\r\nhost: a\r\n\r\n"), START),
        ("HTTP/0.9", raw("GET /\r\n\r\n"), START),
        ("HTTP/1.2", raw("GET / HTTP/1.2\r\nhost: a\r\n\r\n"), Refused(505, "version_unsupported")),
        ("HTTP/2.0", raw("GET / HTTP/2.0\r\nhost: a\r\n\r\n"), Refused(505, "version_unsupported")),
        ("HTTP/2 preface", raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Refused(505, "version_unsupported")),
        ("version `http/1.1`", raw("GET / http/1.1\r\nhost: a\r\n\r\n"), Refused(400, "version_invalid")),
        ("method with a slash", raw("G/T / HTTP/1.1\r\nhost: a\r\n\r\n"), START),
        ("Expect other than 100-continue", get("host: a\r\nexpect: 200-ok\r\n"), Refused(417, "expectation_unknown")),
        ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), START),
    ]
}

fn connections() -> Rows {
    const FRAMING: Want = Refused(400, "connection_names_framing");
    vec![
        ("Connection names Host", get("host: a\r\nconnection: close, Host\r\n"), FRAMING),
        ("Connection names CL", post("content-length: 5\r\nconnection: content-length\r\n", "hello"), FRAMING),
        ("Connection names TE", get("host: a\r\nconnection: Transfer-Encoding\r\n"), FRAMING),
        ("Connection `a b`", get("host: a\r\nconnection: a b\r\n"), Refused(400, "connection_invalid")),
        (
            "Connection with 4,000 names",
            get(&format!("host: a\r\nconnection: {}\r\n", "a,".repeat(3900))),
            Refused(400, "connection_too_long"),
        ),
    ]
}

fn sizes() -> Rows {
    vec![
        (
            "method of 100 KB",
            format!("{} / HTTP/1.1\r\nhost: a\r\n\r\n", "A".repeat(100_000)).into_bytes(),
            Refused(501, "method_too_long"),
        ),
        (
            "method of 33 bytes",
            format!("{} / HTTP/1.1\r\nhost: a\r\n\r\n", "A".repeat(33)).into_bytes(),
            Refused(501, "method_too_long"),
        ),
        ("target of 100 KB", target(&format!("/{}", "a".repeat(100_000))), Refused(414, "request_line_too_long")),
        (
            "field of 100 KB",
            get(&format!("host: a\r\nb: {}\r\n", "c".repeat(100_000))),
            Refused(431, "headers_too_large"),
        ),
        ("101 fields", get(&format!("host: a\r\n{}", "b: c\r\n".repeat(100))), Refused(431, "too_many_headers")),
        ("CL past the limit", post("content-length: 1000001\r\n", ""), Refused(413, "body_too_large")),
        ("chunk past the limit", chunked("f4241\r\n"), Refused(413, "body_too_large")),
    ]
}
