//! Words for a message and its carrier that are the same for all protocols.

use std::io;

use bytes::Bytes;
use sidegate_api::Protocol;
use sidegate_protocol::http1::{BodyError, BodyLength, Expect, ResponseFraming, Trailers, Upgrade};

/// How much body a message's head announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Announced {
    /// None, and it says nothing of a length.
    #[default]
    Nothing,
    /// So many bytes.
    Length(u64),
    /// As many as come.
    Open,
}

impl Announced {
    /// Whether no byte of a body follows.
    #[inline]
    pub fn is_empty(self) -> bool {
        matches!(self, Announced::Nothing | Announced::Length(0))
    }
}

impl From<BodyLength> for Announced {
    #[inline]
    fn from(length: BodyLength) -> Self {
        match length {
            BodyLength::None => Announced::Nothing,
            BodyLength::Length(length) => Announced::Length(length),
            BodyLength::Chunked | BodyLength::UntilClose => Announced::Open,
        }
    }
}

impl From<Announced> for BodyLength {
    /// As a request says it in HTTP/1.1.
    #[inline]
    fn from(announced: Announced) -> Self {
        match announced {
            Announced::Nothing => BodyLength::None,
            Announced::Length(length) => BodyLength::Length(length),
            Announced::Open => BodyLength::Chunked,
        }
    }
}

impl From<Announced> for ResponseFraming {
    /// As a response says it in HTTP/1.1.
    #[inline]
    fn from(announced: Announced) -> Self {
        match announced {
            Announced::Nothing => ResponseFraming::NoBody,
            Announced::Length(length) => ResponseFraming::Length(length),
            Announced::Open => ResponseFraming::Chunked,
        }
    }
}

/// Whether another message may follow on the same carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// It may, for all that the caller knows.
    No,
    /// None does: a drain, or a request that was not understood or not read.
    Yes,
}

/// What becomes of a message's carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The message is whole; the carrier may have another.
    Reusable,
    /// The message is whole, and the carrier's last.
    Finish,
    /// The message was cut and must not look whole.
    Reset(Reason),
}

/// Why a message was cut, for protocols that can say so (RFC 9113 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nobody wants it any more.
    Cancel,
    /// Nobody has looked at it.
    Refused,
    /// The peer broke the protocol.
    Protocol,
    /// Something of our own failed.
    Internal,
    /// The peer asks for more than it may have.
    TooMuch,
    /// It can be had over HTTP/1.1 only.
    Http11Required,
}

/// What a request's head says beside its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestStart {
    /// Bytes of the head as the client sent it, or about so many where it came
    /// compressed.
    pub head_bytes: u32,
    /// What it came in.
    pub version: Protocol,
    /// Its body.
    pub body: Announced,
    /// What the client waits for.
    pub expect: Expect,
    /// Whether it takes trailers.
    pub trailers: Trailers,
    /// Whether it asks for another protocol; the head then has the field.
    pub upgrade: Upgrade,
}

/// What a response's head says beside its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseStart {
    /// Its body.
    pub body: Announced,
}

/// What comes next of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEvent {
    /// So many bytes of it, which the carrier lends.
    Data(usize),
    /// The body and its trailers are complete.
    End,
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyFault {
    /// The peer broke the protocol or a limit.
    #[error(transparent)]
    Refused(#[from] BodyError),
    /// The peer closed before the end.
    #[error("closed within a body")]
    Closed,
    /// The carrier failed, or the peer reset it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The next bytes of a body, where they stand.
#[derive(Debug, Clone, Copy)]
pub enum Data<'a> {
    /// In a buffer that is used again.
    Slice(&'a [u8]),
    /// In memory that whoever takes them may keep.
    Shared(&'a Bytes),
}

impl<'a> Data<'a> {
    /// The bytes.
    #[inline]
    pub fn as_slice(self) -> &'a [u8] {
        match self {
            Data::Slice(bytes) => bytes,
            Data::Shared(bytes) => bytes,
        }
    }
}

/// What is known of a client from whom nothing is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// It reset its stream or connection.
    Gone,
    /// It sends nothing more; it may still read.
    SaysNoMore,
    /// Bytes that nobody takes yet stand in front of its end, if that has come:
    /// to be looked at again after a while.
    Hidden,
}
