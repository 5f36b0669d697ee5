//! `gzip`.

use std::io::Read;
use std::process::Command;
use std::sync::Mutex;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Framing, Gate, Message, Origin, Proxy, Reply, run};

use crate::support::{assert_same_bytes, pattern};

const GZIP: &str = "Accept-Encoding: gzip\r\n";

fn filter() -> Value {
    json!({"type": "gzip", "config": {"content_types": ["text/plain", "application/json"], "content_length": 20}})
}

fn proxy_to(origin: &Origin) -> Proxy {
    Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter()))
}

fn unzip(message: &Message) -> Vec<u8> {
    assert_eq!(message.header("content-encoding"), Some("gzip"), "{:?}", message.head);
    let mut out = Vec::new();
    GzDecoder::new(&message.body[..]).read_to_end(&mut out).unwrap();
    out
}

/// Compresses well and still shows a gap.
fn text(length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + 20);
    for line in 0.. {
        if out.len() >= length {
            break;
        }
        out.extend_from_slice(format!("this is line {line}\n").as_bytes());
    }
    out.truncate(length);
    out
}

#[test]
fn bodies_of_any_size_and_framing_arrive_whole() {
    for (name, body) in [("text", text as fn(usize) -> Vec<u8>), ("noise", pattern)] {
        for length in [20, 1_000, 65_536, 3_000_000] {
            for chunks in [false, true] {
                let sent = body(length);
                let of_origin = sent.clone();
                let origin = Origin::http(move |_| {
                    let reply = Reply::ok(of_origin.clone()).header("Content-Type", "text/plain; charset=utf-8");
                    if chunks { reply.chunked() } else { reply }
                });
                let proxy = proxy_to(&origin);
                let mut client = proxy.connect();
                // One connection: what follows a compressed body is understood.
                for _ in 0..2 {
                    let reply = client.send(format!("GET / HTTP/1.1\r\nHost: test\r\n{GZIP}\r\n")).response();
                    assert_same_bytes(&unzip(&reply), &sent);
                    assert_eq!((reply.framing, reply.header("vary")), (Framing::Chunked, Some("Accept-Encoding")));
                    let small = name == "noise" || length < 1_000 || reply.body.len() * 3 < length;
                    assert!(small, "{} bytes of {length}", reply.body.len());
                }
                let plain = client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").response();
                assert_same_bytes(&plain.body, &sent);
                let framing = if chunks { Framing::Chunked } else { Framing::Length(length as u64) };
                assert_eq!((plain.framing, plain.header("vary")), (framing, Some("Accept-Encoding")));
            }
        }
    }
}

#[test]
fn curl_reads_it() {
    let sent = String::from_utf8(text(200_000)).unwrap();
    let of_origin = sent.clone();
    let origin = Origin::http(move |_| Reply::ok(of_origin.clone()).header("Content-Type", "text/plain"));
    let proxy = proxy_to(&origin);
    let url = format!("http://{}/", proxy.address());
    let outcome =
        run(Command::new("curl").args(["-q", "--noproxy", "*", "-sS", "--compressed", "--max-time", "15", &url]));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_same_bytes(outcome.stdout.as_bytes(), sent.as_bytes());
}

#[test]
fn a_slow_body_arrives_as_it_comes() {
    let gate = Gate::new();
    let of_origin = gate.clone();
    let origin = Origin::scripted(move |connection| {
        connection.request()?;
        connection
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst \r\n");
        of_origin.wait();
        connection.send("6\r\nsecond\r\n0\r\n\r\n");
        Ok(())
    });
    let proxy = proxy_to(&origin);
    let mut client = proxy.connect();
    client.send(format!("GET / HTTP/1.1\r\nHost: test\r\n{GZIP}\r\n"));
    let head = client.read_head().unwrap();
    assert_eq!(head.get("content-encoding"), Some("gzip"));
    // The first part can be read while the second is not even sent.
    let mut raw = Vec::new();
    while !begins_with(&raw, b"first ") {
        raw.extend(client.read_some().unwrap());
    }
    gate.open();
    while !raw.ends_with(b"0\r\n\r\n") {
        raw.extend(client.read_some().unwrap());
    }
    assert!(begins_with(&raw, b"first second"));
}

/// Whether the chunks in `raw`, as far as they are there, unzip to `wanted`.
fn begins_with(raw: &[u8], wanted: &[u8]) -> bool {
    let (mut zipped, mut rest) = (Vec::new(), raw);
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else { break };
        zipped.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    let mut out = vec![0; wanted.len()];
    GzDecoder::new(&zipped[..]).read_exact(&mut out).is_ok() && out == wanted
}

#[test]
fn what_is_not_compressed_passes_untouched() {
    let (body, fields) = (text(500), Mutex::new((200, Vec::<(&str, &str)>::new())));
    let of_origin = body.clone();
    let fields: &'static Mutex<_> = Box::leak(Box::new(fields));
    let origin = Origin::http(move |_| {
        let (status, fields) = fields.lock().unwrap().clone();
        let reply = Reply::new(status).body(of_origin.clone());
        fields.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    });
    let proxy = proxy_to(&origin);
    for (status, of_response) in [
        (200, vec![("Content-Type", "image/png")]),
        (200, vec![]),
        (200, vec![("Content-Type", "text/plain"), ("Content-Encoding", "br")]),
        (200, vec![("Content-Type", "text/plain"), ("Cache-Control", "no-transform")]),
        (206, vec![("Content-Type", "text/plain"), ("Content-Range", "bytes 0-499/1000")]),
    ] {
        *fields.lock().unwrap() = (status, of_response.clone());
        let reply = proxy.get_with("/", GZIP);
        assert_same_bytes(&reply.body, &body);
        assert_eq!((reply.framing, reply.header("vary")), (Framing::Length(500), None), "{of_response:?}");
    }
    *fields.lock().unwrap() = (200, vec![("Content-Type", "text/plain"), ("ETag", "\"a\"")]);
    assert_eq!(proxy.get_with("/", GZIP).header("etag"), Some("W/\"a\""));
    assert_eq!(proxy.get_with("/", "Accept-Encoding: gzip;q=0\r\n").header("etag"), Some("\"a\""));
    let head = proxy.connect().send(format!("HEAD / HTTP/1.1\r\nHost: test\r\n{GZIP}\r\n")).response_to("HEAD");
    assert_eq!((head.header("content-encoding"), head.header("content-length")), (Some("gzip"), None));
    *fields.lock().unwrap() = (304, vec![("ETag", "\"a\"")]);
    assert_eq!(proxy.get_with("/", GZIP).header("etag"), Some("W/\"a\""));
}

#[test]
pub(crate) fn trailers_follow_a_compressed_body() {
    let sent = text(100_000);
    let of_origin = sent.clone();
    let origin =
        Origin::http(move |_| Reply::ok(of_origin.clone()).header("Content-Type", "text/plain").trailer("X-Sum", "1"));
    let proxy = proxy_to(&origin);
    let reply = proxy.get_with("/", GZIP);
    assert_same_bytes(&unzip(&reply), &sent);
    assert_eq!(reply.trailer("x-sum"), Some("1"));
}

#[test]
fn an_old_client_reads_until_the_end() {
    let sent = text(100_000);
    let of_origin = sent.clone();
    let origin = Origin::http(move |_| Reply::ok(of_origin.clone()).header("Content-Type", "text/plain"));
    let proxy = proxy_to(&origin);
    let reply = proxy.exchange(format!("GET / HTTP/1.0\r\nHost: test\r\n{GZIP}\r\n"));
    assert_same_bytes(&unzip(&reply), &sent);
    assert_eq!(reply.framing, Framing::UntilClose);
}

#[test]
pub(crate) fn a_body_that_breaks_off_does_not_look_whole() {
    let origin = Origin::scripted(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\nonly this");
        Ok(())
    });
    let proxy = proxy_to(&origin);
    let mut client = proxy.connect();
    client.send(format!("GET / HTTP/1.1\r\nHost: test\r\n{GZIP}\r\n"));
    assert!(client.try_response("GET").is_err());
}

#[test]
pub(crate) fn replies_of_the_proxy_itself_are_compressed_if_long_enough() {
    let long = String::from_utf8(text(5_000)).unwrap();
    let answer =
        |path: &str, body: &str| json!({"match": {"path": path}, "direct_response": {"status": 200, "body": body}});
    let routes = json!([answer("/long", &long), answer("/short", "short")]);
    let host = ConfigBuilder::empty().virtual_host("all", &["*"], routes).filter(filter());
    let proxy = Proxy::start(&host);
    let reply = proxy.get_with("/long", GZIP);
    assert_same_bytes(&unzip(&reply), long.as_bytes());
    assert_eq!(reply.framing, Framing::Length(reply.body.len() as u64));
    assert_eq!(proxy.get_with("/short", GZIP).text(), "short");
}
