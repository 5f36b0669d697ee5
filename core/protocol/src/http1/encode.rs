//! Heads and chunks on their way out.

use sidegate_api::{HeaderCase, Headers, Protocol, RequestHead, ResponseHead, check_trailer, is_hop_by_hop};

use super::reason::status_line;
use super::{BodyLength, Expect, Persistence, Upgrade};

/// The interim response that asks for the body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What follows the data of each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// How the end of a response's body is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFraming {
    /// No body follows, whatever the fields say: HEAD, 204, 304 and 1xx. A
    /// `content-length` among the fields is passed on where that is allowed.
    NoBody,
    /// So many bytes follow.
    Length(u64),
    /// Chunks follow.
    Chunked,
    /// The body ends with the connection.
    UntilClose,
}

impl ResponseFraming {
    /// What a client of `version` can be told: HTTP/1.0 knows no chunks.
    pub fn for_client(self, version: Protocol) -> Self {
        match (self, version) {
            (ResponseFraming::Chunked, Protocol::Http10) => ResponseFraming::UntilClose,
            _ => self,
        }
    }
}

/// Appends the head of a request, always as HTTP/1.1. `host` comes from the
/// authority, `content-length` and `transfer-encoding` from `framing`; those
/// and hop-by-hop fields among the headers are left out. `UntilClose` does not
/// exist for requests and is sent chunked. The `upgrade` field travels only
/// with [`Upgrade::Asked`]. Names are written as `case` says.
pub fn encode_request_head(
    out: &mut Vec<u8>,
    head: &RequestHead,
    framing: BodyLength,
    expect: Expect,
    upgrade: Upgrade,
    case: HeaderCase,
) {
    let start = out.len();
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.target().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(head.authority.as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in head.headers.iter() {
        if !is_ours(name) && name != b"host" && name != b"expect" {
            field(out, name, value);
        }
    }
    if expect == Expect::Continue {
        out.extend_from_slice(b"expect: 100-continue\r\n");
    }
    if upgrade == Upgrade::Asked {
        switch(out, &head.headers);
    }
    match framing {
        BodyLength::None => {}
        BodyLength::Length(length) => content_length(out, length),
        BodyLength::Chunked | BodyLength::UntilClose => out.extend_from_slice(CHUNKED_FIELD),
    }
    out.extend_from_slice(b"\r\n");
    if case != HeaderCase::Lower {
        respell(&mut out[start..], &head.headers, case);
    }
}

/// Appends the head of a response for a client that spoke `version`, and says
/// whether the connection persists after it: announcing a body that ends with
/// the connection closes it.
///
/// `framing` should have gone through [`ResponseFraming::for_client`]; chunks
/// are never announced to HTTP/1.0. `date` is added if the upstream sent none.
/// Names are written as `case` says, and the status with the phrase that it
/// came with.
pub fn encode_response_head(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    framing: ResponseFraming,
    version: Protocol,
    persistence: Persistence,
    date: &[u8],
    case: HeaderCase,
) -> Persistence {
    let start = out.len();
    let persistence = response_head(out, head, framing, version, persistence, date);
    if case != HeaderCase::Lower {
        respell(&mut out[start..], &head.headers, case);
    }
    persistence
}

fn response_head(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    framing: ResponseFraming,
    version: Protocol,
    persistence: Persistence,
    date: &[u8],
) -> Persistence {
    let framing = framing.for_client(version);
    status_line(out, head.status, head.reason.of(head.status));
    let mut has_date = false;
    for (name, value) in head.headers.iter() {
        if !is_ours(name) {
            field(out, name, value);
            has_date |= name == b"date";
        }
    }
    if head.status < 200 {
        if head.status == 101 {
            switch(out, &head.headers);
        }
        out.extend_from_slice(b"\r\n");
        return persistence;
    }
    if !has_date {
        field(out, b"date", date);
    }
    match framing {
        ResponseFraming::NoBody | ResponseFraming::Length(0) if head.status == 204 => {}
        ResponseFraming::NoBody => {
            if let Some(length) = head.headers.get(b"content-length") {
                field(out, b"content-length", length);
            }
        }
        ResponseFraming::Length(length) => content_length(out, length),
        ResponseFraming::Chunked => out.extend_from_slice(CHUNKED_FIELD),
        ResponseFraming::UntilClose => {}
    }
    let persistence = if framing == ResponseFraming::UntilClose { Persistence::Close } else { persistence };
    match (persistence, version) {
        (Persistence::Close, _) => out.extend_from_slice(b"connection: close\r\n"),
        (Persistence::KeepAlive, Protocol::Http10) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (Persistence::KeepAlive, Protocol::Http11 | Protocol::Http2) => {}
    }
    out.extend_from_slice(b"\r\n");
    persistence
}

/// The line before a chunk's data, on the stack. After the data comes
/// [`CHUNK_END`].
#[derive(Debug, Clone, Copy)]
pub struct ChunkPrefix {
    bytes: [u8; 18],
    start: u8,
}

impl ChunkPrefix {
    /// The line for a chunk of `len` bytes. A chunk of 0 bytes would end the
    /// body: do not send empty ones.
    pub fn new(len: u64) -> Self {
        let mut bytes = [0_u8; 18];
        bytes[16] = b'\r';
        bytes[17] = b'\n';
        let (mut rest, mut start) = (len, 16);
        while start == 16 || rest != 0 {
            start -= 1;
            bytes[start] = b"0123456789abcdef"[(rest & 15) as usize];
            rest >>= 4;
        }
        ChunkPrefix { bytes, start: start as u8 }
    }

    /// The bytes to send.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start as usize..]
    }
}

/// Appends the last chunk and the trailers, without those that may not stand
/// there. Names are written as `case` says.
pub fn encode_last_chunk(out: &mut Vec<u8>, trailers: &Headers, case: HeaderCase) {
    let start = out.len();
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.iter().filter(|(name, value)| check_trailer(name, value).is_ok()) {
        field(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    if case != HeaderCase::Lower && !trailers.is_empty() {
        respell(&mut out[start..], trailers, case);
    }
}

/// Writes the names of all fields behind the first line of `lines` as `case`
/// wants them: that changes no length.
#[cold]
fn respell(lines: &mut [u8], received: &Headers, case: HeaderCase) {
    for line in lines.split_mut(|&b| b == b'\n').skip(1) {
        if let Some(colon) = memchr::memchr(b':', line) {
            let name = &mut line[..colon];
            let known = match case {
                HeaderCase::Preserve => received.spelling_of(name),
                HeaderCase::Lower | HeaderCase::Title => None,
            };
            case.apply(name, known);
        }
    }
}

const CHUNKED_FIELD: &[u8] = b"transfer-encoding: chunked\r\n";

/// The two fields that ask for another protocol or agree to it.
fn switch(out: &mut Vec<u8>, headers: &Headers) {
    if let Some(protocol) = headers.get(b"upgrade") {
        out.extend_from_slice(b"connection: upgrade\r\n");
        field(out, b"upgrade", protocol);
    }
}

fn content_length(out: &mut Vec<u8>, length: u64) {
    field(out, b"content-length", itoa::Buffer::new().format(length).as_bytes());
}

/// Whether the codec alone writes this field.
fn is_ours(name: &[u8]) -> bool {
    match name.len() {
        2 | 7 | 10 | 14 | 16 | 17 => is_hop_by_hop(name) || matches!(name, b"content-length" | b"trailer"),
        _ => false,
    }
}

fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
