//! What several areas use.

use std::net::{SocketAddr, TcpListener};

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy};

/// An echoing origin and a proxy that sends everything to it.
pub fn echo_pair() -> (Origin, Proxy) {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    (origin, proxy)
}

/// An address that refuses connections: a port that was just free.
pub fn refusing_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A route by prefix to cluster `origin`, with `more` keys inside `route`.
pub fn route(prefix: &str, more: Value) -> Value {
    let mut route = json!({"match": {"prefix": prefix}, "route": {"cluster_name": "origin"}});
    for (key, value) in more.as_object().unwrap() {
        route["route"][key] = value.clone();
    }
    route
}

/// A direct response, to see which route was taken without an origin.
pub fn answer(matcher: Value, body: &str) -> Value {
    json!({"match": matcher, "direct_response": {"status": 200, "body": body}})
}

/// Bytes that show a gap, a repetition or a swap.
pub fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let mut out = Vec::with_capacity(length + 3);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(length);
    out
}

/// Panics at the first difference, without printing megabytes.
#[track_caller]
pub fn assert_same_bytes(got: &[u8], wanted: &[u8]) {
    if got == wanted {
        return;
    }
    let at = got.iter().zip(wanted).position(|(a, b)| a != b).unwrap_or(got.len().min(wanted.len()));
    panic!("{} bytes instead of {}; they differ from byte {at}", got.len(), wanted.len());
}

/// `body` in chunks of `size`, with the last chunk and `trailers` (each with
/// its CRLF).
pub fn chunked(body: &[u8], size: usize, trailers: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(size) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    out
}
