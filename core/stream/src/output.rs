//! The way of one message out: head bytes, body framing, end.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use sidegate_api::{HeaderCase, Headers};
use sidegate_net::Socket;
use sidegate_protocol::http1::{BodyLength, CHUNK_END, ChunkPrefix, encode_last_chunk};

/// Memory for heads that a connection keeps between messages.
const KEEP_BYTES: usize = 4096;

/// Bytes that wait to be written in front of body bytes that are lent for one
/// write. Body bytes are never copied here.
#[derive(Debug)]
pub struct Output {
    waiting: Vec<u8>,
    /// Bytes of `waiting` already written.
    sent: usize,
    framing: BodyLength,
    /// How names of trailers are written.
    case: HeaderCase,
    /// Bytes that the begun chunk still needs.
    chunk_left: usize,
}

impl Default for Output {
    fn default() -> Self {
        Output { waiting: Vec::new(), sent: 0, framing: BodyLength::None, case: HeaderCase::Lower, chunk_left: 0 }
    }
}

impl Output {
    /// Buffer to write a head into; it goes out in front of the body.
    pub fn head(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// Bytes of memory that it has.
    pub fn capacity(&self) -> usize {
        self.waiting.capacity()
    }

    /// Frees its memory if nothing waits in it.
    pub fn release(&mut self) {
        if self.is_flushed() {
            self.waiting = Vec::new();
            self.sent = 0;
        }
    }

    /// Says how the coming body is framed, and how names of trailers are
    /// written.
    pub fn start_body(&mut self, framing: BodyLength, case: HeaderCase) {
        self.framing = framing;
        self.case = case;
        self.chunk_left = 0;
    }

    /// How the body is framed.
    pub fn framing(&self) -> BodyLength {
        self.framing
    }

    /// Whether nothing waits.
    pub fn is_flushed(&self) -> bool {
        self.sent == self.waiting.len()
    }

    /// Writes what waits and then some of `data`, in one system call where the
    /// socket takes it; says how many bytes of `data` were taken. Until a chunk
    /// is complete, later calls must lend its remaining bytes first.
    pub fn poll_data(&mut self, cx: &mut Context<'_>, socket: &mut Socket, data: &[u8]) -> Poll<io::Result<usize>> {
        let data = match self.framing {
            BodyLength::Chunked => {
                if self.chunk_left == 0 && !data.is_empty() {
                    self.waiting.extend_from_slice(ChunkPrefix::new(data.len() as u64).as_slice());
                    self.chunk_left = data.len();
                }
                &data[..self.chunk_left.min(data.len())]
            }
            _ => data,
        };
        let closes_chunk = self.framing == BodyLength::Chunked && data.len() == self.chunk_left && !data.is_empty();
        let waiting = &self.waiting[self.sent..];
        let tail: &[u8] = if closes_chunk { CHUNK_END } else { &[] };
        let slices = [IoSlice::new(waiting), IoSlice::new(data), IoSlice::new(tail)];
        let first = usize::from(waiting.is_empty());
        let last = if closes_chunk { 3 } else { 2 };
        let written = ready!(socket.poll_write(cx, &slices[first..last]))?;
        let from_waiting = written.min(waiting.len());
        let from_data = (written - from_waiting).min(data.len());
        let from_tail = written - from_waiting - from_data;
        self.wrote(from_waiting);
        if self.framing == BodyLength::Chunked {
            self.chunk_left -= from_data;
            if closes_chunk && from_data == data.len() {
                self.waiting.extend_from_slice(&CHUNK_END[from_tail..]);
            }
        }
        Poll::Ready(Ok(from_data))
    }

    /// Ends the body: for chunked framing with the last chunk and `trailers`.
    pub fn finish(&mut self, trailers: &Headers) {
        if self.framing == BodyLength::Chunked {
            encode_last_chunk(&mut self.waiting, trailers, self.case);
        }
        self.framing = BodyLength::None;
    }

    /// Writes everything that waits.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>, socket: &mut Socket) -> Poll<io::Result<()>> {
        while !self.is_flushed() {
            let written = ready!(socket.poll_write(cx, &[IoSlice::new(&self.waiting[self.sent..])]))?;
            self.wrote(written);
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, count: usize) {
        self.sent += count;
        if self.is_flushed() {
            self.waiting.clear();
            self.waiting.shrink_to(KEEP_BYTES);
            self.sent = 0;
        }
    }
}
