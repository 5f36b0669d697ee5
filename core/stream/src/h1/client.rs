//! The client's side: requests to an upstream host.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use sidegate_api::{HeaderCase, Headers, Method, PeerIdentity, PeerText, RequestHead, ResponseHead, TlsAgreed};
use sidegate_net::{BufferPool, Socket, Traffic};
use sidegate_protocol::http1::{Decoded, Grammar, Limits, Persistence, ResponseDecoder, encode_request_head};

use super::body::BodyIn;
use super::out::BodyOut;
use crate::interim::Interim;
use crate::upstream::{ClientError, ClosedBy, OnClose};
use crate::{Announced, BodyEvent, BodyFault, Pipe, RequestStart, ResponseStart};

/// An upstream connection.
#[derive(Debug)]
pub struct Client {
    pipe: Pipe,
    body: BodyIn,
    out: BodyOut,
    /// Its number in the process, where somebody gave it one.
    pub id: Option<u64>,
    /// Under which name the host is spoken to, where those are told apart.
    pub name: Option<Arc<str>>,
    /// Requests sent on it, the current one included.
    pub requests: u32,
    decoder: ResponseDecoder,
    grammar: Grammar,
    /// How field names are written.
    case: HeaderCase,
    interim: Interim,
    /// What the current response says of the connection.
    persistence: Persistence,
    /// Made when first asked for.
    local: Option<Arc<PeerText>>,
    /// Statistics hang here.
    guard: Option<Box<dyn OnClose>>,
}

impl Client {
    /// A fresh connection. `guard` is told of its end and dropped with it.
    pub fn new(socket: Socket, pool: BufferPool, guard: Option<Box<dyn OnClose>>) -> Self {
        let grammar = Grammar::Padded;
        let mut connection = Client {
            pipe: Pipe::new(socket, pool),
            body: BodyIn::new(),
            out: BodyOut::new(),
            id: None,
            name: None,
            requests: 0,
            decoder: ResponseDecoder::new(),
            grammar,
            case: HeaderCase::Lower,
            interim: Interim::default(),
            persistence: Persistence::Close,
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

    /// Writes field names as `case` says.
    pub fn spell(&mut self, case: HeaderCase) {
        self.case = case;
    }

    /// Reads bodies in pieces of up to `bytes`, of 64 KiB at most.
    pub fn limit_reads(&mut self, bytes: usize) {
        self.body.limit_reads(bytes);
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
            self.local = self.pipe.socket.local_address().ok().map(|address| Arc::new(PeerText::new(address)));
        }
        self.local.clone()
    }

    /// What was agreed on in TLS, if that is spoken.
    pub fn tls_agreed(&self) -> Option<TlsAgreed> {
        self.pipe.socket.tls_agreed()
    }

    /// Who the host is, if it speaks TLS and was verified.
    pub fn peer(&self) -> Option<Arc<dyn PeerIdentity>> {
        self.pipe.socket.peer()
    }

    /// Bytes that went over the socket so far.
    #[inline]
    pub fn traffic(&self) -> Traffic {
        self.pipe.socket.traffic()
    }

    /// Begins a request with its head. `start` says what it asks for beside
    /// its content: only who asked for another protocol may get a `101`.
    #[inline]
    pub fn start(&mut self, head: &RequestHead, body: Announced, start: &RequestStart) {
        self.requests += 1;
        self.interim = Interim::default();
        self.persistence = Persistence::Close;
        self.decoder.offer(start.upgrade);
        let out = self.pipe.waiting.end();
        encode_request_head(out, head, body.into(), start.expect, start.upgrade, self.case);
        self.out.start(body.into(), self.case);
    }

    /// Whether the host has shown that it has the current request.
    pub fn is_answered(&self) -> bool {
        self.interim.any() || !self.pipe.input.is_empty()
    }

    /// Reads and decodes the next response head, informational or final. Of
    /// informational ones there is a bound in number and bytes.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Limits,
        method: &Method,
        head: &mut ResponseHead,
    ) -> Poll<Result<ResponseStart, ClientError>> {
        loop {
            match self.decoder.decode(self.pipe.input.filled(), limits, method, head)? {
                Decoded::Complete { consumed, meta } => {
                    self.pipe.input.consume(consumed);
                    if head.status < 200 {
                        self.interim.add(consumed)?;
                    }
                    self.body.expect(meta.body, limits, self.grammar);
                    self.persistence = meta.persistence;
                    return Poll::Ready(Ok(ResponseStart { body: meta.body.into() }));
                }
                Decoded::Partial => {}
            }
            let begun = !self.pipe.input.is_empty();
            if ready!(self.pipe.socket.poll_read(cx, &mut self.pipe.input, limits.max_head_bytes))? == 0 {
                return Poll::Ready(Err(match begun {
                    true => ClientError::ClosedInHead,
                    false => ClientError::ClosedBeforeResponse,
                }));
            }
        }
    }

    /// What comes next of the response's body. After `Data(n)`, `n` bytes must
    /// be consumed before the next call.
    #[inline]
    pub fn poll_body(&mut self, cx: &mut Context<'_>, trailers: &mut Headers) -> Poll<Result<BodyEvent, BodyFault>> {
        self.body.poll(&mut self.pipe, cx, trailers)
    }

    /// The bytes that were lent and not consumed yet.
    #[inline]
    pub fn data(&self) -> &[u8] {
        self.body.data(&self.pipe)
    }

    /// So many of them are not needed any more.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.body.consume(&mut self.pipe, count);
    }

    /// Whether the response was read to its end.
    #[inline]
    pub fn is_body_done(&self) -> bool {
        self.body.is_done()
    }

    /// Whether trailers can follow the request's body.
    #[inline]
    pub fn carries_trailers(&self) -> bool {
        self.out.carries_trailers()
    }

    /// Sends some of `data`; says how much of it went.
    #[inline]
    pub fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.out.poll_send(&mut self.pipe, cx, data)
    }

    /// Ends the request's body.
    #[inline]
    pub fn finish(&mut self, trailers: &Headers) {
        self.out.finish(&mut self.pipe, trailers);
    }

    /// Writes everything that waits.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.out.poll_flush(&mut self.pipe, cx)
    }

    /// The host agreed to another protocol: both bodies are its bytes from here
    /// on, and the end of ours that of our side. No request follows them.
    pub fn switch(&mut self) {
        self.persistence = Persistence::Close;
        self.body.switch();
        self.out.switch();
    }

    /// Makes the coming close a reset.
    pub fn reset_on_close(&mut self) {
        self.pipe.socket.reset_on_close();
    }

    /// Whether the host is silent, as it should be between two requests.
    pub fn is_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        self.pipe.socket.is_quiet(cx)
    }

    /// Gives read memory back that holds nothing.
    pub fn release(&mut self) {
        self.pipe.input.release();
    }

    /// Whether it can wait in a pool: the host keeps it, everything is sent and
    /// nothing left over.
    pub fn is_reusable(&self) -> bool {
        self.persistence == Persistence::KeepAlive
            && self.pipe.is_flushed()
            && self.pipe.input.is_empty()
            && self.body.is_done()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(guard) = &self.guard {
            guard.closed(if self.pipe.socket.peer_has_ended() { ClosedBy::Peer } else { ClosedBy::Us });
        }
    }
}
