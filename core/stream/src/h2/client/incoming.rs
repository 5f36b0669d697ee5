//! How far a response has come.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::RecvStream;
use h2::client::ResponseFuture;
use http::{HeaderMap, StatusCode};
use sidegate_api::Headers;
use sidegate_protocol::http1::{BodyError, BodyLength, Limits};
use sidegate_protocol::http2::decode_trailers;

use super::fault::Fault;
use crate::BodyEvent;

/// How far a response has come.
#[derive(Debug)]
pub(super) enum Incoming {
    /// The request has not begun.
    Idle,
    /// Heads come.
    Head(ResponseFuture),
    /// A response without a body has its head, and is to come to its end.
    /// Boxed, since it is rare.
    Bare(Box<(Body, BodyLength)>),
    /// The body comes.
    Body(Body),
    /// It is whole.
    Done,
    /// It never will be.
    Failed(Fault),
}

/// A head as it came; the body behind it, if it is the final one.
type Received = (StatusCode, HeaderMap, Option<RecvStream>);

impl Incoming {
    /// The next head.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, Fault>> {
        let response = match self {
            Incoming::Head(response) => response,
            Incoming::Failed(fault) => return Poll::Ready(Err(fault.clone())),
            Incoming::Idle | Incoming::Bare(_) | Incoming::Body(_) | Incoming::Done => {
                return Poll::Ready(Err(Fault::Closed));
            }
        };
        match ready!(response.poll_informational(cx)) {
            Some(Ok(head)) => {
                let (parts, ()) = head.into_parts();
                Poll::Ready(Ok((parts.status, parts.headers, None)))
            }
            Some(Err(error)) => Poll::Ready(Err(Fault::of(&error))),
            None => match ready!(Pin::new(response).poll(cx)) {
                Ok(head) => {
                    let (parts, body) = head.into_parts();
                    Poll::Ready(Ok((parts.status, parts.headers, Some(body))))
                }
                Err(error) => Poll::Ready(Err(Fault::of(&error))),
            },
        }
    }
}

/// A body on its way.
#[derive(Debug)]
pub(super) struct Body {
    frames: RecvStream,
    /// What is lent of the current frame.
    chunk: Bytes,
    /// Bytes of the current frame that were consumed: its part of the window is
    /// given back as a whole.
    consumed: usize,
    left: Left,
    /// Nothing follows the current frame.
    ended: bool,
    limits: SectionLimits,
}

/// What trailers may have.
#[derive(Debug)]
struct SectionLimits {
    max_headers: usize,
    max_trailer_bytes: usize,
}

/// How much may still come.
#[derive(Debug, Clone, Copy)]
enum Left {
    /// So many bytes, no more and no less.
    Exactly(u64),
    /// So many at most.
    AtMost(u64),
}

impl Body {
    pub(super) fn new(frames: RecvStream, length: BodyLength, limits: &Limits) -> Self {
        let left = match length {
            BodyLength::None => Left::Exactly(0),
            BodyLength::Length(length) => Left::Exactly(length),
            BodyLength::Chunked | BodyLength::UntilClose => Left::AtMost(limits.max_body.unwrap_or(u64::MAX)),
        };
        let limits = SectionLimits { max_headers: limits.max_headers, max_trailer_bytes: limits.max_trailer_bytes };
        Body { frames, chunk: Bytes::new(), consumed: 0, left, ended: false, limits }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>, trailers: &mut Headers) -> Poll<Result<BodyEvent, Fault>> {
        if self.ended {
            return Poll::Ready(Ok(BodyEvent::End));
        }
        loop {
            match ready!(self.frames.poll_data(cx)) {
                // An empty frame can only be the last.
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(bytes)) => {
                    self.count(bytes.len())?;
                    self.ended = self.frames.is_end_stream();
                    if self.ended {
                        self.check_end()?;
                    }
                    self.chunk = bytes;
                    return Poll::Ready(Ok(BodyEvent::Data(self.chunk.len())));
                }
                Some(Err(error)) => return Poll::Ready(Err(self.fault(&error))),
                None => {
                    let section = ready!(self.frames.poll_trailers(cx)).map_err(|error| self.fault(&error))?;
                    self.check_end()?;
                    if let Some(section) = section {
                        let SectionLimits { max_headers, max_trailer_bytes } = self.limits;
                        let limits = Limits { max_headers, max_trailer_bytes, ..Limits::default() };
                        decode_trailers(&section, &limits, trailers).map_err(Fault::Body)?;
                    }
                    self.ended = true;
                    return Poll::Ready(Ok(BodyEvent::End));
                }
            }
        }
    }

    /// Waits for the end of a response that has no body of `length`.
    pub(super) fn poll_bare(&mut self, cx: &mut Context<'_>, length: BodyLength) -> Poll<Result<(), Fault>> {
        loop {
            match ready!(self.frames.poll_data(cx)) {
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(_)) => return Poll::Ready(Err(DIFFERS)),
                // The crate expects a body that is announced where there is none, as
                // in a 304.
                Some(Err(error)) if length == BodyLength::None && is_broken(&error) => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(self.fault(&error))),
                None => {
                    let trailers = ready!(self.frames.poll_trailers(cx));
                    return Poll::Ready(trailers.map(drop).map_err(|error| self.fault(&error)));
                }
            }
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), Fault> {
        let bytes = bytes as u64;
        self.left = match self.left {
            Left::Exactly(left) => Left::Exactly(left.checked_sub(bytes).ok_or(DIFFERS)?),
            Left::AtMost(left) => Left::AtMost(left.checked_sub(bytes).ok_or(TOO_LARGE)?),
        };
        Ok(())
    }

    fn check_end(&self) -> Result<(), Fault> {
        match self.left {
            Left::Exactly(1..) => Err(DIFFERS),
            Left::Exactly(0) | Left::AtMost(_) => Ok(()),
        }
    }

    /// `h2` compares the body with its length, too, and only says that the
    /// protocol was broken.
    fn fault(&self, error: &h2::Error) -> Fault {
        match self.left {
            Left::Exactly(_) if is_broken(error) => DIFFERS,
            _ => Fault::of(error),
        }
    }

    pub(super) fn data(&self) -> &Bytes {
        &self.chunk
    }

    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.chunk.len());
        self.chunk.advance(count);
        self.consumed += count;
        if self.chunk.is_empty() {
            // No more than what came; a stream that is gone needs none.
            let _ = self.frames.flow_control().release_capacity(self.consumed);
            self.consumed = 0;
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.ended && self.chunk.is_empty()
    }
}

/// Whether the crate has reset the stream for what the host did.
fn is_broken(error: &h2::Error) -> bool {
    error.is_reset() && error.is_library() && error.reason() == Some(h2::Reason::PROTOCOL_ERROR)
}

const DIFFERS: Fault = Fault::Body(BodyError { status: 400, details: "body_length_differs" });
const TOO_LARGE: Fault = Fault::Body(BodyError { status: 413, details: "body_too_large" });
