//! Bodies in tiny chunks: what one read brings goes on as one piece, and
//! nothing waits for more.

use std::sync::mpsc;

use sidegate_harness::{ConfigBuilder, Origin, Proxy, Wire};

use crate::support::{assert_same_bytes, pattern};

const BODY: usize = 200_000;
/// The mean chunk that must come of chunks of one byte. A read brings some
/// thousand of them, fewer where the sender's segments are small.
const LEAST_MEAN: usize = 64;

/// `data` in chunks of one byte, with a trailer.
fn one_byte_chunks(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() * 6 + 32);
    for &byte in data {
        out.extend_from_slice(&[b'1', b'\r', b'\n', byte, b'\r', b'\n']);
    }
    out.extend_from_slice(b"0\r\nX-T: end\r\n\r\n");
    out
}

/// Reads a chunked body from `wire`: the data, the number of chunks, and what
/// stands between the last chunk and the blank line.
fn read_chunks(wire: &mut Wire) -> (Vec<u8>, usize, String) {
    let mut raw = Vec::new();
    let (mut at, mut data, mut chunks) = (0, Vec::new(), 0);
    loop {
        let line = loop {
            match raw[at..].windows(2).position(|pair| pair == b"\r\n") {
                Some(end) => break std::str::from_utf8(&raw[at..at + end]).unwrap().to_owned(),
                None => raw.extend(wire.read_some().unwrap()),
            }
        };
        let size = usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("chunk line {line:?}"));
        at += line.len() + 2;
        if size == 0 {
            break;
        }
        while raw.len() < at + size + 2 {
            raw.extend(wire.read_some().unwrap());
        }
        data.extend_from_slice(&raw[at..at + size]);
        assert_eq!(&raw[at + size..at + size + 2], b"\r\n");
        at += size + 2;
        chunks += 1;
    }
    while !raw[at..].ends_with(b"\r\n\r\n") {
        raw.extend(wire.read_some().unwrap());
    }
    (data, chunks, String::from_utf8(raw[at..].to_vec()).unwrap())
}

#[test]
fn tiny_chunks_of_a_request_go_on_as_large_ones() {
    let body = pattern(BODY);
    let (report, reports) = mpsc::channel();
    let origin = Origin::scripted(move |connection| {
        connection.head()?;
        report.send(read_chunks(connection)).unwrap();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        Ok(())
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    let mut request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    request.extend_from_slice(&one_byte_chunks(&body));
    client.send(request);
    assert_eq!(client.response().text(), "ok");
    let (data, chunks, trailers) = reports.recv().unwrap();
    assert_same_bytes(&data, &body);
    assert_eq!(trailers.to_ascii_lowercase(), "x-t: end\r\n\r\n");
    assert!(chunks <= BODY / LEAST_MEAN, "{chunks} chunks for {BODY} bytes");
}

#[test]
fn tiny_chunks_of_a_response_go_on_as_large_ones() {
    let body = pattern(BODY);
    let sent = one_byte_chunks(&body);
    let origin = Origin::scripted(move |connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").send(&sent);
        Ok(())
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read_head().unwrap().status(), 200);
    let (data, chunks, trailers) = read_chunks(&mut client);
    assert_same_bytes(&data, &body);
    assert_eq!(trailers.to_ascii_lowercase(), "x-t: end\r\n\r\n");
    assert!(chunks <= BODY / LEAST_MEAN, "{chunks} chunks for {BODY} bytes");
}

#[test]
fn a_request_behind_tiny_chunks_is_the_next_request() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    let body = pattern(300);
    for round in 0..20 {
        let mut both = b"POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        both.extend_from_slice(&one_byte_chunks(&body));
        both.extend_from_slice(format!("GET /behind/{round} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        // However it arrives.
        let cut = both.len() * round / 20;
        client.send(&both[..cut]).send(&both[cut..]);
        let first = client.response().json();
        assert_eq!((&first["target"], &first["body_length"]), (&"/first".into(), &300.into()));
        assert_eq!(client.response().json()["target"], format!("/behind/{round}"));
    }
}

#[test]
fn a_chunk_alone_goes_on_at_once() {
    let (report, reports) = mpsc::channel();
    let origin = Origin::scripted(move |connection| {
        connection.head()?;
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        loop {
            let piece = connection.read_some()?;
            report.send(piece.clone()).unwrap();
            if piece.ends_with(b"0\r\n\r\n") {
                connection.send(piece);
                return Ok(());
            }
            connection.send(piece);
        }
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.read_head().unwrap().status(), 200);
    // Each goes to the origin and back before the next is sent.
    for byte in b'a'..b'h' {
        let chunk = [b'1', b'\r', b'\n', byte, b'\r', b'\n'];
        client.send(chunk);
        let mut there = Vec::new();
        while there.len() < chunk.len() {
            there.extend(reports.recv().unwrap());
        }
        assert_eq!(there, chunk);
        assert_eq!(client.read_exact(chunk.len()).unwrap(), chunk);
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.read_exact(5).unwrap(), b"0\r\n\r\n");
}

#[test]
fn bounds_hold_for_tiny_chunks() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address())
        .in_proxy("extend_config", serde_json::json!({"Http1": {"max_request_body_size": 1000}}));
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    let mut request = b"POST /large HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    request.extend_from_slice(&one_byte_chunks(&pattern(1001)));
    assert_eq!(client.send(request).response().status(), 413);
    let mut client = proxy.connect();
    let mut request = b"POST /exact HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    request.extend_from_slice(&one_byte_chunks(&pattern(1000)));
    assert_eq!(client.send(request).response().json()["body_length"], 1000);
}
