//! A connection on which a test writes any HTTP/2 frames.

use std::net::SocketAddr;

use super::block;
use crate::{Wire, WireError};

/// Types of frames (RFC 9113 6).
#[allow(missing_docs, reason = "the RFC's names")]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
#[allow(missing_docs, reason = "the RFC's names")]
pub mod flag {
    pub const END_STREAM: u8 = 0x1;
    pub const ACK: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// Error codes (RFC 9113 7).
#[allow(missing_docs, reason = "the RFC's names")]
pub mod code {
    pub const NO_ERROR: u32 = 0;
    pub const PROTOCOL_ERROR: u32 = 1;
    pub const INTERNAL_ERROR: u32 = 2;
    pub const HTTP_1_1_REQUIRED: u32 = 13;
    pub const FLOW_CONTROL_ERROR: u32 = 3;
    pub const STREAM_CLOSED: u32 = 5;
    pub const FRAME_SIZE_ERROR: u32 = 6;
    pub const REFUSED_STREAM: u32 = 7;
    pub const CANCEL: u32 = 8;
    pub const COMPRESSION_ERROR: u32 = 9;
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// Settings (RFC 9113 6.5.2).
#[allow(missing_docs, reason = "the RFC's names")]
pub mod setting {
    pub const HEADER_TABLE_SIZE: u16 = 1;
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame as it stands on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What follows the nine bytes.
    pub payload: Vec<u8>,
    /// What a HEADERS frame that was read says, with those of its
    /// CONTINUATION frames; empty for one that is to be sent.
    pub fields: Vec<(String, String)>,
}

/// What became of a stream, or of its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// A final response with this status.
    Answered(u16),
    /// RST_STREAM with this code.
    Reset(u32),
    /// GOAWAY with this code.
    GoneAway(u32),
    /// The connection ended without a word.
    Closed,
}

impl Frame {
    /// A frame of any kind.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
        Frame { kind, flags, stream, payload: payload.into(), fields: Vec::new() }
    }

    /// HEADERS with a whole block.
    pub fn headers(stream: u32, flags: u8, block: impl Into<Vec<u8>>) -> Frame {
        Frame::new(kind::HEADERS, flags | flag::END_HEADERS, stream, block)
    }

    /// DATA.
    pub fn data(stream: u32, flags: u8, data: impl Into<Vec<u8>>) -> Frame {
        Frame::new(kind::DATA, flags, stream, data)
    }

    /// RST_STREAM.
    pub fn reset(stream: u32, code: u32) -> Frame {
        Frame::new(kind::RST_STREAM, 0, stream, code.to_be_bytes())
    }

    /// SETTINGS.
    pub fn settings(values: &[(u16, u32)]) -> Frame {
        let mut payload = Vec::new();
        for (name, value) in values {
            payload.extend_from_slice(&name.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        Frame::new(kind::SETTINGS, 0, 0, payload)
    }

    /// WINDOW_UPDATE.
    pub fn window_update(stream: u32, increment: u32) -> Frame {
        Frame::new(kind::WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
    }

    /// PING.
    pub fn ping(data: u64) -> Frame {
        Frame::new(kind::PING, 0, 0, data.to_be_bytes())
    }

    /// GOAWAY.
    pub fn go_away(last: u32, code: u32) -> Frame {
        Frame::new(kind::GOAWAY, 0, 0, [last.to_be_bytes(), code.to_be_bytes()].concat())
    }

    /// Whether it has this flag.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// First value of a field, pseudo fields included.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The error code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> Option<u32> {
        let at = match self.kind {
            kind::RST_STREAM => 0,
            kind::GOAWAY => 4,
            _ => return None,
        };
        Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().ok()?))
    }

    /// The bytes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let mut out = length[1..].to_vec();
        out.extend_from_slice(&[self.kind, self.flags]);
        out.extend_from_slice(&self.stream.to_be_bytes());
        out.extend_from_slice(&self.payload);
        out
    }
}

/// One end of a connection, either end.
pub struct Frames {
    wire: Wire,
    decoder: loona_hpack::Decoder<'static>,
}

impl Frames {
    /// A connection on which the preface and empty SETTINGS were sent.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Frames {
        Self::connect_with(address, &[])
    }

    /// The same with SETTINGS.
    #[track_caller]
    pub fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> Frames {
        let mut frames = Self::over(Wire::connect(address));
        frames.wire.send(PREFACE).send(Frame::settings(settings).to_bytes());
        frames
    }

    /// A connection on which nothing was sent.
    pub fn over(wire: Wire) -> Frames {
        Frames { wire, decoder: loona_hpack::Decoder::new() }
    }

    /// An accepted connection: reads the preface and sends SETTINGS.
    pub fn serve(wire: Wire, settings: &[(u16, u32)]) -> Result<Frames, WireError> {
        let mut frames = Self::over(wire);
        let preface = frames.wire.read_exact(PREFACE.len())?;
        if preface != PREFACE {
            return Err(WireError::Malformed(format!("preface {:?}", String::from_utf8_lossy(&preface))));
        }
        frames.try_send(&Frame::settings(settings))?;
        Ok(frames)
    }

    /// The connection beneath.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Sends a frame; panics if the peer does not take it.
    #[track_caller]
    pub fn send(&mut self, frame: &Frame) -> &mut Self {
        self.wire.send(frame.to_bytes());
        self
    }

    /// Sends a frame.
    pub fn try_send(&mut self, frame: &Frame) -> Result<(), WireError> {
        self.wire.try_send(frame.to_bytes()).map_err(|_| WireError::Closed)
    }

    /// Sends the same frames again and again, as long as the peer takes them;
    /// how often that was.
    pub fn flood(&mut self, frames: impl Fn(u32) -> Vec<Frame>, times: u32) -> u32 {
        for turn in 0..times {
            let bytes: Vec<u8> = frames(turn).iter().flat_map(Frame::to_bytes).collect();
            if self.wire.try_send(bytes).is_err() {
                return turn;
            }
        }
        times
    }

    /// Sends a request head with `:scheme` http, `:authority` test and these
    /// fields; without a body if `flags` has END_STREAM.
    #[track_caller]
    pub fn request(&mut self, stream: u32, flags: u8, method: &str, path: &str, more: &[(&str, &str)]) -> &mut Self {
        let frame = Frame::headers(stream, flags, request_block(method, path, more));
        self.send(&frame)
    }

    /// The next frame of any kind. Answers none of them by itself.
    pub fn next_frame(&mut self) -> Result<Frame, WireError> {
        let mut frame = self.read()?;
        if frame.kind != kind::HEADERS {
            return Ok(frame);
        }
        let mut block = fragment(&frame);
        while !frame.has(flag::END_HEADERS) {
            let more = self.read()?;
            if more.kind != kind::CONTINUATION || more.stream != frame.stream {
                return Err(WireError::Malformed(format!("a frame of kind {} in a header block", more.kind)));
            }
            block.extend_from_slice(&more.payload);
            frame.flags |= more.flags & flag::END_HEADERS;
        }
        let fields = self.decoder.decode(&block).map_err(|e| WireError::Malformed(format!("header block: {e:?}")))?;
        let text = |bytes: Vec<u8>| bytes.into_iter().map(|byte| byte as char).collect();
        frame.fields = fields.into_iter().map(|(name, value)| (text(name), text(value))).collect();
        Ok(frame)
    }

    /// The next frame for which `wanted` holds; others are passed over, and
    /// SETTINGS and PING among them answered.
    pub fn next_of(&mut self, mut wanted: impl FnMut(&Frame) -> bool) -> Result<Frame, WireError> {
        loop {
            let frame = self.next_frame()?;
            if matches!(frame.kind, kind::SETTINGS | kind::PING) && !frame.has(flag::ACK) {
                let answer = if frame.kind == kind::PING { frame.payload.clone() } else { Vec::new() };
                let _ = self.try_send(&Frame::new(frame.kind, flag::ACK, 0, answer));
            }
            if wanted(&frame) {
                return Ok(frame);
            }
        }
    }

    /// What becomes of `stream`, or of the connection.
    #[track_caller]
    pub fn ending(&mut self, stream: u32) -> Ending {
        let found = self.next_of(|frame| match frame.kind {
            kind::GOAWAY => frame.code() != Some(code::NO_ERROR),
            kind::RST_STREAM => frame.stream == stream,
            kind::HEADERS => frame.stream == stream && status(frame) >= 200,
            _ => false,
        });
        match found {
            Ok(frame) if frame.kind == kind::HEADERS => Ending::Answered(status(&frame)),
            Ok(frame) if frame.kind == kind::GOAWAY => Ending::GoneAway(frame.code().unwrap_or(u32::MAX)),
            Ok(frame) => Ending::Reset(frame.code().unwrap_or(u32::MAX)),
            Err(WireError::Timeout) => panic!("neither an answer nor an end of stream {stream}"),
            Err(WireError::Malformed(why)) => panic!("{why}"),
            Err(_) => Ending::Closed,
        }
    }

    /// Whether the peer answers a PING, so that all before it was dealt with.
    pub fn is_alive(&mut self) -> bool {
        const MARK: u64 = 0x5369_6465_6761_7465;
        self.try_send(&Frame::ping(MARK)).is_ok()
            && self
                .next_of(|frame| {
                    frame.kind == kind::PING && frame.has(flag::ACK) && frame.payload == MARK.to_be_bytes()
                })
                .is_ok()
    }

    fn read(&mut self) -> Result<Frame, WireError> {
        let head = self.wire.read_exact(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let payload = self.wire.read_exact(length)?;
        Ok(Frame::new(head[3], head[4], stream, payload))
    }
}

/// The header block of a request to `http://test`.
pub(super) fn request_block(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own = [(":method", method), (":scheme", "http"), (":authority", "test"), (":path", path)];
    [block(&own), block(more)].concat()
}

fn status(frame: &Frame) -> u16 {
    frame.field(":status").and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The part of a header block that a HEADERS frame carries.
fn fragment(frame: &Frame) -> Vec<u8> {
    let mut part = frame.payload.as_slice();
    let mut padding = 0;
    if frame.has(flag::PADDED) {
        padding = part[0] as usize;
        part = &part[1..];
    }
    if frame.has(flag::PRIORITY) {
        part = &part[5..];
    }
    part[..part.len() - padding].to_vec()
}
