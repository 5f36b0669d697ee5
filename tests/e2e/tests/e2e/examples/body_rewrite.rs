use sidegate_harness::{Framing, Origin, Reply, WireError};

use super::Example;

const FROM: &str = "http://internal.example";
const TO: &str = "https://www.example.com";

#[test]
pub(crate) fn links_change_wherever_chunks_end() {
    // A prime, so that reads cut the text at every place.
    let body = (0..3001).map(|n| format!("{n} {FROM}/{n}\n")).collect::<String>();
    let wanted = body.replace(FROM, TO);
    let origin = Origin::http(move |seen| {
        let reply = Reply::ok(body.clone()).header("Content-Type", "text/html").header("ETag", "\"1\"");
        if seen.head.target() == "/chunked" { reply.chunked().trailer("X-Sum", "7") } else { reply }
    });
    let example = Example::run("body-rewrite", &origin);
    for path in ["/chunked", "/length"] {
        let got = example.get(path, "");
        assert_eq!((got.status(), got.framing), (200, Framing::Chunked), "{path}");
        assert!(got.text() == wanted, "{path}: the body differs");
        assert_eq!(got.header("etag"), None);
    }
    assert_eq!(example.get("/chunked", "").trailer("x-sum"), Some("7"));
}

#[test]
pub(crate) fn a_text_that_comes_byte_by_byte_is_found() {
    let origin = Origin::scripted(|connection| {
        connection.request()?;
        let mut reply = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for byte in format!("http://to {FROM} http").bytes() {
            reply.extend([b"1\r\n", &[byte][..], b"\r\n"].concat());
        }
        reply.extend(b"0\r\n\r\n");
        connection.try_send(reply).map_err(|_| WireError::Closed)
    });
    let example = Example::run("body-rewrite", &origin);
    assert_eq!(example.get("/", "").text(), format!("http://to {TO} http"));
}
