//! A socket with what was read from it and what waits to be written to it.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use sidegate_net::{BufferPool, ReadBuffer, Socket};

/// Bytes of a read buffer for whoever fills the usual one.
pub(crate) const LARGE_READ: usize = 64 * 1024;
/// Memory for what waits that a connection keeps between messages.
const KEEP_BYTES: usize = 4096;

/// One connection's bytes, whatever they mean.
#[derive(Debug)]
pub struct Pipe {
    /// The socket.
    pub socket: Socket,
    /// Bytes read and not used yet.
    pub input: ReadBuffer,
    /// Bytes that wait to be written, in front of any others.
    pub waiting: Waiting,
}

/// Bytes on their way out that are copied because they are few: heads, and
/// what frames a body. Bodies are lent for each write.
#[derive(Debug, Default)]
pub struct Waiting {
    bytes: Vec<u8>,
    /// How many of them were written.
    sent: usize,
}

impl Pipe {
    /// A connection on `socket`.
    pub fn new(socket: Socket, pool: BufferPool) -> Self {
        Pipe { socket, input: ReadBuffer::new(pool), waiting: Waiting::default() }
    }

    /// Writes everything that waits.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let written = ready!(self.socket.poll_write(cx, &[IoSlice::new(self.waiting.as_slice())]))?;
            self.waiting.wrote(written);
        }
        self.socket.poll_flush(cx)
    }

    /// Whether nothing waits to be sent.
    #[inline]
    pub fn is_flushed(&self) -> bool {
        self.waiting.is_empty() && self.socket.is_flushed()
    }

    /// Writes what waits, then some of `data`, then of `tail`, in one system
    /// call where the socket takes it; says how many bytes of the latter two
    /// went.
    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8], tail: &[u8]) -> Poll<io::Result<(usize, usize)>> {
        let waiting = self.waiting.as_slice();
        let slices = [IoSlice::new(waiting), IoSlice::new(data), IoSlice::new(tail)];
        let first = usize::from(waiting.is_empty());
        let last = if tail.is_empty() { 2 } else { 3 };
        let written = ready!(self.socket.poll_write(cx, &slices[first..last]))?;
        let of_waiting = written.min(waiting.len());
        let of_data = (written - of_waiting).min(data.len());
        self.waiting.wrote(of_waiting);
        Poll::Ready(Ok((of_data, written - of_waiting - of_data)))
    }

    /// Ends our side, once everything is written, and drops what the peer
    /// still sends, up to `left` bytes: closing with unread bytes would reset
    /// the connection and could take a response with it.
    pub fn poll_linger(&mut self, cx: &mut Context<'_>, left: &mut usize) -> Poll<()> {
        if self.poll_flush(cx).is_pending() || self.socket.poll_shutdown(cx).is_pending() {
            return Poll::Pending;
        }
        loop {
            self.input.consume(self.input.len());
            match self.socket.poll_read(cx, &mut self.input, 0) {
                Poll::Ready(Ok(count)) if count > 0 && *left > count => *left -= count,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        self.input.release();
        Poll::Pending
    }
}

impl Waiting {
    /// To write something behind what waits.
    #[inline]
    pub fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Bytes of memory that it has.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Frees its memory if nothing waits in it.
    pub fn release(&mut self) {
        if self.is_empty() {
            *self = Waiting::default();
        }
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    #[inline]
    fn wrote(&mut self, count: usize) {
        self.sent += count;
        if self.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(KEEP_BYTES);
            self.sent = 0;
        }
    }
}
