//! The server's side: requests from a client.

use std::io;
use std::task::{Context, Poll, ready};

use sidegate_api::RequestHead;
use sidegate_net::{BufferPool, Socket, Traffic};
use sidegate_protocol::http1::{Decoded, Grammar, Limits, RequestDecoder, RequestError, RequestMeta, only_blank_lines};

use crate::Wire;

/// A downstream connection.
#[derive(Debug)]
pub struct ServerConnection {
    /// Socket and buffers.
    pub wire: Wire,
    decoder: RequestDecoder,
    /// What of the socket's traffic was told.
    told: Traffic,
}

/// Why no request came.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The client closed between requests: nothing is wrong.
    #[error("closed between requests")]
    Closed,
    /// The client closed within a request's head.
    #[error("closed within a request head")]
    ClosedInHead,
    /// The head was refused.
    #[error(transparent)]
    Refused(#[from] RequestError),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ServerConnection {
    /// Serves `socket`.
    pub fn new(socket: Socket, pool: BufferPool) -> Self {
        ServerConnection { wire: Wire::new(socket, pool), decoder: RequestDecoder::new(), told: Traffic::default() }
    }

    /// Bytes that went over the socket since the last call, heads and framing
    /// included.
    pub fn new_traffic(&mut self) -> Traffic {
        let now = self.wire.socket.traffic();
        let before = std::mem::replace(&mut self.told, now);
        Traffic { read: now.read - before.read, written: now.written - before.written }
    }

    /// Whether the client has begun a request that was not decoded yet.
    pub fn has_begun(&self) -> bool {
        !self.wire.input.is_empty() && !only_blank_lines(self.wire.input.filled())
    }

    /// Ready when the client has begun a request, closed, or failed; holds no
    /// buffer while it waits for the first byte.
    pub fn poll_begin(&mut self, cx: &mut Context<'_>, max_head_bytes: usize) -> Poll<Result<(), ServerError>> {
        loop {
            if self.has_begun() {
                return Poll::Ready(Ok(()));
            }
            self.wire.input.release();
            ready!(self.wire.socket.poll_readable(cx))?;
            let read = ready!(self.wire.socket.poll_read(cx, &mut self.wire.input, max_head_bytes))?;
            if read == 0 {
                return Poll::Ready(Err(ServerError::Closed));
            }
        }
    }

    /// Reads and decodes the head of the request that has begun.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Limits,
        head: &mut RequestHead,
    ) -> Poll<Result<RequestMeta, ServerError>> {
        // Room for the tolerated blank lines beside a head of the full size.
        let max = limits.max_head_bytes + 16;
        loop {
            match self.decoder.decode(self.wire.input.filled(), limits, head)? {
                Decoded::Complete { consumed, meta } => {
                    self.wire.input.consume(consumed);
                    self.wire.expect_body(meta.body, limits, Grammar::Strict);
                    return Poll::Ready(Ok(meta));
                }
                Decoded::Partial => {}
            }
            if ready!(self.wire.socket.poll_read(cx, &mut self.wire.input, max))? == 0 {
                return Poll::Ready(Err(ServerError::ClosedInHead));
            }
        }
    }
}
