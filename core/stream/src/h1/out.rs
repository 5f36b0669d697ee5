//! The framing of a message on its way out.

use std::io;
use std::task::{Context, Poll, ready};

use sidegate_api::{HeaderCase, Headers};
use sidegate_protocol::http1::{BodyLength, CHUNK_END, ChunkPrefix, encode_last_chunk};

use crate::pipe::Pipe;

/// How the body is framed that is sent on a connection. Its bytes are never
/// copied.
#[derive(Debug)]
pub(super) struct BodyOut {
    framing: BodyLength,
    /// How names of trailers are written.
    case: HeaderCase,
    /// Bytes that the begun chunk still needs.
    chunk_left: usize,
    end: OutEnd,
}

/// What the end of what is sent means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OutEnd {
    /// Of a message.
    Message,
    /// Of our side of the connection, which has come or not.
    Side,
    SideReached,
}

impl BodyOut {
    pub(super) fn new() -> Self {
        BodyOut { framing: BodyLength::None, case: HeaderCase::Lower, chunk_left: 0, end: OutEnd::Message }
    }

    /// Says how the coming body is framed, and how names of trailers are
    /// written.
    #[inline]
    pub(super) fn start(&mut self, framing: BodyLength, case: HeaderCase) {
        self.framing = framing;
        self.case = case;
        self.chunk_left = 0;
    }

    /// Whether trailers can follow the body.
    #[inline]
    pub(super) fn carries_trailers(&self) -> bool {
        self.framing == BodyLength::Chunked
    }

    /// Writes what waits and then some of `data`; says how many bytes of it
    /// were taken. Until a chunk is complete, later calls must lend its
    /// remaining bytes first.
    #[inline]
    pub(super) fn poll_send(&mut self, pipe: &mut Pipe, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.framing != BodyLength::Chunked {
            return pipe.poll_write(cx, data, &[]).map_ok(|(sent, _)| sent);
        }
        if self.chunk_left == 0 && !data.is_empty() {
            pipe.waiting.end().extend_from_slice(ChunkPrefix::new(data.len() as u64).as_slice());
            self.chunk_left = data.len();
        }
        let data = &data[..self.chunk_left.min(data.len())];
        let closes_chunk = data.len() == self.chunk_left && !data.is_empty();
        let tail: &[u8] = if closes_chunk { CHUNK_END } else { &[] };
        let (of_data, of_tail) = ready!(pipe.poll_write(cx, data, tail))?;
        self.chunk_left -= of_data;
        if closes_chunk && of_data == data.len() {
            pipe.waiting.end().extend_from_slice(&CHUNK_END[of_tail..]);
        }
        Poll::Ready(Ok(of_data))
    }

    /// Ends the body: for chunked framing with the last chunk and `trailers`.
    #[inline]
    pub(super) fn finish(&mut self, pipe: &mut Pipe, trailers: &Headers) {
        if self.framing == BodyLength::Chunked {
            encode_last_chunk(pipe.waiting.end(), trailers, self.case);
        }
        self.framing = BodyLength::None;
        if self.end == OutEnd::Side {
            self.end = OutEnd::SideReached;
        }
    }

    /// From here on everything is another protocol's, to our end.
    pub(super) fn switch(&mut self) {
        self.framing = BodyLength::UntilClose;
        self.end = OutEnd::Side;
    }

    /// Writes what waits, and ends our side where that is due.
    #[inline]
    pub(super) fn poll_flush(&mut self, pipe: &mut Pipe, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(pipe.poll_flush(cx))?;
        match self.end {
            OutEnd::SideReached => pipe.socket.poll_shutdown(cx),
            OutEnd::Message | OutEnd::Side => Poll::Ready(Ok(())),
        }
    }
}
