//! What both sides of an HTTP/1 connection share.

use std::io;
use std::task::{Context, Poll, ready};

use sidegate_api::Headers;
use sidegate_net::{BufferPool, ReadBuffer, Socket};
use sidegate_protocol::http1::{BodyDecoder, BodyError, BodyLength, BodyStep, Grammar, Limits};

use crate::Output;

/// A socket with what was read from it and what waits to be written to it.
#[derive(Debug)]
pub struct Wire {
    /// The socket.
    pub socket: Socket,
    /// Bytes read and not used yet.
    pub input: ReadBuffer,
    /// The way out.
    pub output: Output,
    body: BodyDecoder,
    /// Bytes at the front of `input` that are body bytes, decoded and not
    /// taken yet.
    lent: usize,
    /// Bytes to read at once: more while a body keeps filling the buffer.
    appetite: Appetite,
    /// How many more.
    large_read: usize,
}

/// Bytes of a read buffer for a body that fills the usual one.
pub(crate) const LARGE_READ: usize = 64 * 1024;

/// How much is read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Appetite {
    Usual,
    Large,
}

/// What comes next of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEvent {
    /// The next so many bytes of [`Wire::input`] are body bytes.
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
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Wire {
    /// A connection on `socket`.
    pub fn new(socket: Socket, pool: BufferPool) -> Self {
        Wire {
            socket,
            input: ReadBuffer::new(pool),
            output: Output::default(),
            body: BodyDecoder::new(BodyLength::None, &Limits::default()),
            lent: 0,
            appetite: Appetite::Usual,
            large_read: LARGE_READ,
        }
    }

    /// Reads bodies in pieces of up to `bytes`, of 64 KiB at most; buffers of
    /// the usual size serve where that is less.
    pub fn limit_reads(&mut self, bytes: usize) {
        self.large_read = bytes.min(LARGE_READ);
    }

    /// Says how the body that follows in the input is framed.
    pub fn expect_body(&mut self, length: BodyLength, limits: &Limits, grammar: Grammar) {
        self.body = BodyDecoder::new(length, limits).with_grammar(grammar);
        self.lent = 0;
        self.appetite = Appetite::Usual;
    }

    /// Whether the incoming body is complete and all of it was taken, so that
    /// what is in the input comes after it.
    pub fn is_body_done(&self) -> bool {
        self.lent == 0 && self.body.is_done()
    }

    /// Takes `count` of the bytes that [`poll_body`](Self::poll_body) lent.
    pub fn take_body(&mut self, count: usize) {
        self.input.consume(count);
        self.lent = self.lent.saturating_sub(count);
    }

    /// Reads and drops what has arrived of the incoming body, at most about
    /// `max` bytes; says how many it were.
    pub fn drop_arrived_body(&mut self, cx: &mut Context<'_>, max: usize) -> u64 {
        let mut dropped = 0;
        let mut trailers = Headers::new();
        self.take_body(self.lent);
        while dropped < max
            && let Poll::Ready(Ok(BodyEvent::Data(count))) = self.poll_body(cx, &mut trailers)
        {
            self.take_body(count);
            dropped += count;
        }
        dropped as u64
    }

    /// What comes next of the incoming body: all that one read brought comes
    /// as one piece, however it was cut into chunks. After `Data(n)`, `n`
    /// bytes must be taken by [`take_body`](Self::take_body) before the next
    /// call.
    pub fn poll_body(&mut self, cx: &mut Context<'_>, trailers: &mut Headers) -> Poll<Result<BodyEvent, BodyFault>> {
        loop {
            if self.body.is_done() {
                return Poll::Ready(Ok(BodyEvent::End));
            }
            if self.input.is_full() {
                self.appetite = Appetite::Large;
            }
            match self.body.decode(self.input.filled(), trailers)? {
                BodyStep::Data { start, end } => {
                    self.input.consume(start);
                    self.lent = end - start;
                    if self.body.is_between_chunks() && self.lent < self.input.len() {
                        let gathered = self.body.gather(self.input.filled_mut(), self.lent);
                        self.input.cut(gathered.data, gathered.consumed);
                        self.lent = gathered.data;
                    }
                    return Poll::Ready(Ok(BodyEvent::Data(self.lent)));
                }
                BodyStep::End { consumed } => {
                    self.input.consume(consumed);
                    return Poll::Ready(Ok(BodyEvent::End));
                }
                BodyStep::NeedMore { consumed } => self.input.consume(consumed),
            }
            if self.appetite == Appetite::Large {
                self.input.enlarge(self.large_read);
            }
            if ready!(self.socket.poll_read(cx, &mut self.input, 0))? == 0 {
                return Poll::Ready(match self.body.at_eof() {
                    Ok(()) => Ok(BodyEvent::End),
                    Err(_) => Err(BodyFault::Closed),
                });
            }
        }
    }

    /// Writes everything that waits.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(cx, &mut self.socket)
    }
}
