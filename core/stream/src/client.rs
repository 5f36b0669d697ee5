//! The client's side: requests to an upstream host.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use sidegate_api::{Method, PeerText, ResponseHead};
use sidegate_net::{BufferPool, Socket};
use sidegate_protocol::http1::{Decoded, Grammar, Limits, ResponseDecoder, ResponseError, ResponseMeta, Upgrade};

use crate::Wire;

/// Informational responses to one request, far more than any server sends.
const MAX_INTERIM: u32 = 32;
/// Bytes of them together; a final head may be as long.
const MAX_INTERIM_BYTES: usize = 64 * 1024;

/// An upstream connection.
#[derive(Debug)]
pub struct ClientConnection {
    /// Socket and buffers.
    pub wire: Wire,
    /// Its number in the process, where somebody gave it one.
    pub id: Option<u64>,
    /// Requests sent on it, the current one included.
    pub requests: u32,
    decoder: ResponseDecoder,
    grammar: Grammar,
    interim: Interim,
    /// Made when first asked for.
    local: Option<Arc<PeerText>>,
    /// Statistics hang here.
    guard: Option<Box<dyn OnClose>>,
}

/// Informational responses to the current request.
#[derive(Debug, Default)]
struct Interim {
    count: u32,
    bytes: usize,
}

impl Interim {
    /// Each costs work at both ends, whether or not it travels on.
    fn add(&mut self, bytes: usize) -> Result<(), ClientError> {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.count > MAX_INTERIM || self.bytes > MAX_INTERIM_BYTES {
            return Err(ResponseError { details: "too_many_interim_responses" }.into());
        }
        Ok(())
    }
}

/// Told when a connection closes.
pub trait OnClose: fmt::Debug {
    /// Who closed it. Called once, before this is dropped.
    fn closed(&self, by: ClosedBy);
}

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    /// We did.
    Us,
    /// The peer did, or it failed.
    Peer,
}

/// Why no response came.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The host closed before the first byte of a response.
    #[error("closed before a response")]
    ClosedBeforeResponse,
    /// The host closed within a response's head.
    #[error("closed within a response head")]
    ClosedInHead,
    /// The head was refused.
    #[error(transparent)]
    Refused(#[from] ResponseError),
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ClientConnection {
    /// A fresh connection. `guard` is told of its end and dropped with it.
    pub fn new(socket: Socket, pool: BufferPool, guard: Option<Box<dyn OnClose>>) -> Self {
        let decoder = ResponseDecoder::new();
        let (grammar, interim) = (Grammar::Padded, Interim::default());
        let mut connection = ClientConnection {
            wire: Wire::new(socket, pool),
            id: None,
            requests: 0,
            decoder,
            grammar,
            interim,
            local: None,
            guard,
        };
        connection.tolerate(grammar);
        connection
    }

    /// Reads responses as `grammar` says.
    pub fn tolerate(&mut self, grammar: Grammar) {
        self.grammar = grammar;
        self.decoder.tolerate(grammar);
    }

    /// Whether the connection carried a request before the current one: then a
    /// close without a response may be the host's idle timeout.
    pub fn is_reused(&self) -> bool {
        self.requests > 1
    }

    /// Our end of the connection. The first call costs a system call and an
    /// allocation, later ones a reference count.
    pub fn local_address(&mut self) -> Option<Arc<PeerText>> {
        if self.local.is_none() {
            self.local = self.wire.socket.local_address().ok().map(|address| Arc::new(PeerText::new(address)));
        }
        self.local.clone()
    }

    /// Begins a request; `upgrade` says whether it asks for another protocol:
    /// only then may the response be `101`.
    pub fn begin_request(&mut self, upgrade: Upgrade) {
        self.requests += 1;
        self.interim = Interim::default();
        self.decoder.offer(upgrade);
    }

    /// Whether the host has shown that it has the current request.
    pub fn is_answered(&self) -> bool {
        self.interim.count > 0 || !self.wire.input.is_empty()
    }

    /// Reads and decodes the next response head, informational or final. Of
    /// informational ones there is a bound in number and bytes.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Limits,
        method: &Method,
        head: &mut ResponseHead,
    ) -> Poll<Result<ResponseMeta, ClientError>> {
        loop {
            match self.decoder.decode(self.wire.input.filled(), limits, method, head)? {
                Decoded::Complete { consumed, meta } => {
                    self.wire.input.consume(consumed);
                    if head.status < 200 {
                        self.interim.add(consumed)?;
                    }
                    self.wire.expect_body(meta.body, limits, self.grammar);
                    return Poll::Ready(Ok(meta));
                }
                Decoded::Partial => {}
            }
            let begun = !self.wire.input.is_empty();
            if ready!(self.wire.socket.poll_read(cx, &mut self.wire.input, limits.max_head_bytes))? == 0 {
                return Poll::Ready(Err(match begun {
                    true => ClientError::ClosedInHead,
                    false => ClientError::ClosedBeforeResponse,
                }));
            }
        }
    }

    /// Whether it can wait in a pool: everything sent, nothing left over.
    pub fn is_clean(&self) -> bool {
        self.wire.output.is_flushed() && self.wire.input.is_empty() && self.wire.is_body_done()
    }
}

impl Drop for ClientConnection {
    fn drop(&mut self) {
        if let Some(guard) = &self.guard {
            guard.closed(if self.wire.socket.peer_has_ended() { ClosedBy::Peer } else { ClosedBy::Us });
        }
    }
}
