//! Reading a body from a connection.

use std::task::{Context, Poll};

use sidegate_api::Headers;
use sidegate_protocol::http1::{BodyDecoder, BodyLength, BodyStep, Grammar, Limits};

use crate::pipe::{LARGE_READ, Pipe};
use crate::{BodyEvent, BodyFault};

/// The body that is read from a connection, and how much of it at once.
#[derive(Debug)]
pub(super) struct BodyIn {
    decoder: BodyDecoder,
    /// Bytes at the front of the input that are body bytes, decoded and not
    /// taken yet.
    lent: usize,
    appetite: Appetite,
    /// Bytes of a large read.
    large_read: usize,
    silence: Silence,
}

/// What becomes of the buffer while the peer sends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// It stays: the rest of a message comes soon, or whoever waits gives it
    /// back.
    Keeps,
    /// It goes: another protocol may be silent for days.
    Releases,
}

/// How much is read at once: more while a body keeps filling the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Appetite {
    Usual,
    Large,
}

impl BodyIn {
    pub(super) fn new() -> Self {
        BodyIn {
            decoder: BodyDecoder::new(BodyLength::None, &Limits::default()),
            lent: 0,
            appetite: Appetite::Usual,
            large_read: LARGE_READ,
            silence: Silence::Keeps,
        }
    }

    /// Reads bodies in pieces of up to `bytes`, of 64 KiB at most; buffers of
    /// the usual size serve where that is less.
    pub(super) fn limit_reads(&mut self, bytes: usize) {
        self.large_read = bytes.min(LARGE_READ);
    }

    /// Says how the body that follows in the input is framed.
    #[inline]
    pub(super) fn expect(&mut self, length: BodyLength, limits: &Limits, grammar: Grammar) {
        self.decoder = BodyDecoder::new(length, limits).with_grammar(grammar);
        self.lent = 0;
        self.appetite = Appetite::Usual;
    }

    /// From here on everything is another protocol's, to the peer's end.
    pub(super) fn switch(&mut self) {
        self.expect(BodyLength::UntilClose, &Limits::default(), Grammar::Strict);
        self.silence = Silence::Releases;
    }

    /// Whether it is.
    pub(super) fn has_switched(&self) -> bool {
        self.silence == Silence::Releases
    }

    /// Whether the body is complete and all of it was taken, so that what is in
    /// the input comes after it.
    #[inline]
    pub(super) fn is_done(&self) -> bool {
        self.lent == 0 && self.decoder.is_done()
    }

    /// The bytes that [`poll`](Self::poll) lent and that were not taken.
    #[inline]
    pub(super) fn data<'a>(&self, pipe: &'a Pipe) -> &'a [u8] {
        &pipe.input.filled()[..self.lent]
    }

    /// Takes `count` of them.
    #[inline]
    pub(super) fn consume(&mut self, pipe: &mut Pipe, count: usize) {
        pipe.input.consume(count);
        self.lent = self.lent.saturating_sub(count);
    }

    /// What comes next: all that one read brought comes as one piece, however
    /// it was cut into chunks. After `Data(n)`, `n` bytes must be taken before
    /// the next call.
    pub(super) fn poll(
        &mut self,
        pipe: &mut Pipe,
        cx: &mut Context<'_>,
        trailers: &mut Headers,
    ) -> Poll<Result<BodyEvent, BodyFault>> {
        loop {
            if self.decoder.is_done() {
                return Poll::Ready(Ok(BodyEvent::End));
            }
            if pipe.input.is_full() {
                self.appetite = Appetite::Large;
            }
            match self.decoder.decode(pipe.input.filled(), trailers)? {
                BodyStep::Data { start, end } => {
                    pipe.input.consume(start);
                    self.lent = end - start;
                    if self.decoder.is_between_chunks() && self.lent < pipe.input.len() {
                        let gathered = self.decoder.gather(pipe.input.filled_mut(), self.lent);
                        pipe.input.cut(gathered.data, gathered.consumed);
                        self.lent = gathered.data;
                    }
                    return Poll::Ready(Ok(BodyEvent::Data(self.lent)));
                }
                BodyStep::End { consumed } => {
                    pipe.input.consume(consumed);
                    return Poll::Ready(Ok(BodyEvent::End));
                }
                BodyStep::NeedMore { consumed } => pipe.input.consume(consumed),
            }
            if self.appetite == Appetite::Large {
                pipe.input.enlarge(self.large_read);
            }
            let Poll::Ready(read) = pipe.socket.poll_read(cx, &mut pipe.input, 0) else {
                if self.silence == Silence::Releases {
                    pipe.input.release();
                    self.appetite = Appetite::Usual;
                }
                return Poll::Pending;
            };
            if read? == 0 {
                return Poll::Ready(match self.decoder.at_eof() {
                    Ok(()) => Ok(BodyEvent::End),
                    Err(_) => Err(BodyFault::Closed),
                });
            }
        }
    }

    /// Reads and drops what has arrived of the body, at most about `max` bytes;
    /// says how many it were.
    pub(super) fn drop_arrived(&mut self, pipe: &mut Pipe, cx: &mut Context<'_>, max: usize) -> u64 {
        let mut dropped = 0;
        let mut trailers = Headers::new();
        self.consume(pipe, self.lent);
        while dropped < max
            && let Poll::Ready(Ok(BodyEvent::Data(count))) = self.poll(pipe, cx, &mut trailers)
        {
            self.consume(pipe, count);
            dropped += count;
        }
        dropped as u64
    }
}
