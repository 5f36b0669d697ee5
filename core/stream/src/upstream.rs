//! A request's way to a host and its response's way back, over any protocol.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::task::{Context, Poll};

use sidegate_api::{Headers, Method, PeerIdentity, PeerText, Protocol, RequestHead, ResponseHead, TlsAgreed};
use sidegate_net::Traffic;
use sidegate_protocol::http1::{Limits, ResponseError};

use crate::flow::{Receiver, Sender};
use crate::{Announced, BodyEvent, BodyFault, Data, RequestStart, ResponseStart, h1, h2};

/// What carries one request to a host. Dispatch is by `match`: a call of the
/// first kind costs a branch that is predicted.
#[derive(Debug)]
pub enum Upstream {
    /// A connection of HTTP/1, for this request alone. Boxed once for its life:
    /// it changes hands several times per request.
    H1(Box<h1::Client>),
    /// A place on a connection of HTTP/2 that others share.
    H2(Box<h2::ClientStream>),
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
    /// Nobody has looked at the request: the host said so.
    #[error("the request was not processed")]
    NotProcessed,
    /// The host takes this request in HTTP/1.1 alone.
    #[error("the host requires HTTP/1.1")]
    Http1Required,
    /// The host gave the request up, and keeps the connection.
    #[error("reset by the host")]
    Reset,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Calls the same method of whichever carrier there is.
macro_rules! each {
    ($upstream:expr, $carrier:ident => $call:expr) => {
        match $upstream {
            Upstream::H1($carrier) => $call,
            Upstream::H2($carrier) => $call,
        }
    };
}

impl Upstream {
    /// Begins the request with its head.
    #[inline]
    pub fn start(&mut self, head: &RequestHead, body: Announced, start: &RequestStart) {
        each!(self, carrier => carrier.start(head, body, start));
    }

    /// The next response head, informational or final.
    #[inline]
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Limits,
        method: &Method,
        head: &mut ResponseHead,
    ) -> Poll<Result<ResponseStart, ClientError>> {
        each!(self, carrier => carrier.poll_head(cx, limits, method, head))
    }

    /// What comes next of the response's body. After `Data(n)`, `n` bytes must
    /// be consumed before the next call.
    #[inline]
    pub fn poll_body(&mut self, cx: &mut Context<'_>, trailers: &mut Headers) -> Poll<Result<BodyEvent, BodyFault>> {
        each!(self, carrier => carrier.poll_body(cx, trailers))
    }

    /// The bytes that were lent and not consumed yet.
    #[inline]
    pub fn data(&self) -> Data<'_> {
        match self {
            Upstream::H1(carrier) => Data::Slice(carrier.data()),
            Upstream::H2(carrier) => carrier.data(),
        }
    }

    /// So many of them are not needed any more.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        each!(self, carrier => carrier.consume(count));
    }

    /// Whether the response was read to its end.
    #[inline]
    pub fn is_body_done(&self) -> bool {
        each!(self, carrier => carrier.is_body_done())
    }

    /// Whether trailers can follow the request's body.
    #[inline]
    pub fn carries_trailers(&self) -> bool {
        each!(self, carrier => carrier.carries_trailers())
    }

    /// Sends some of `data`; says how much of it went.
    #[inline]
    pub fn poll_send(&mut self, cx: &mut Context<'_>, data: Data<'_>) -> Poll<io::Result<usize>> {
        match self {
            Upstream::H1(carrier) => carrier.poll_send(cx, data.as_slice()),
            Upstream::H2(carrier) => carrier.poll_send(cx, data),
        }
    }

    /// Ends the request's body.
    #[inline]
    pub fn finish(&mut self, trailers: &Headers) {
        each!(self, carrier => carrier.finish(trailers));
    }

    /// Writes what was sent so far.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, carrier => carrier.poll_flush(cx))
    }

    /// The host agreed to another protocol, if the carrier can: what is received
    /// and sent from here on is its bytes, and ends with either side.
    pub fn switch(&mut self) -> io::Result<()> {
        match self {
            Upstream::H1(carrier) => {
                carrier.switch();
                Ok(())
            }
            Upstream::H2(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Whether the host has shown that it has the request.
    pub fn is_answered(&self) -> bool {
        each!(self, carrier => carrier.is_answered())
    }

    /// Whether its connection was used before, so that a close without a
    /// response may be the host's idle timeout.
    pub fn is_reused(&self) -> bool {
        each!(self, carrier => carrier.is_reused())
    }

    /// Number of the connection in the process, where somebody gave it one.
    #[inline]
    pub fn id(&self) -> Option<u64> {
        match self {
            Upstream::H1(carrier) => carrier.id,
            Upstream::H2(carrier) => carrier.id(),
        }
    }

    /// The host took too long. A connection that others share takes no more
    /// requests if it was silent altogether meanwhile.
    #[cold]
    pub fn distrust(&self) {
        match self {
            // It is closed with its request.
            Upstream::H1(_) => {}
            Upstream::H2(carrier) => carrier.distrust(),
        }
    }

    /// What the host is spoken to in.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        match self {
            Upstream::H1(_) => Protocol::Http11,
            Upstream::H2(_) => Protocol::Http2,
        }
    }

    /// Our end of the connection.
    pub fn local_address(&mut self) -> Option<Arc<PeerText>> {
        each!(self, carrier => carrier.local_address())
    }

    /// What was agreed on in TLS, if that is spoken.
    pub fn tls_agreed(&self) -> Option<TlsAgreed> {
        each!(self, carrier => carrier.tls_agreed())
    }

    /// Who the host is, if it speaks TLS and was verified.
    pub fn peer(&self) -> Option<Arc<dyn PeerIdentity>> {
        each!(self, carrier => carrier.peer())
    }

    /// Bytes that went over the connection so far, or for this request where
    /// others share it.
    #[inline]
    pub fn traffic(&self) -> Traffic {
        each!(self, carrier => carrier.traffic())
    }

    /// The request is given up: the host is told, where there is a way.
    #[cold]
    pub fn reset(&mut self) {
        match self {
            Upstream::H1(carrier) => carrier.reset_on_close(),
            Upstream::H2(carrier) => carrier.cancel(),
        }
    }
}

impl Sender for Upstream {
    #[inline]
    fn poll_body(&mut self, cx: &mut Context<'_>, trailers: &mut Headers) -> Poll<Result<BodyEvent, BodyFault>> {
        Upstream::poll_body(self, cx, trailers)
    }

    #[inline]
    fn data(&self) -> Data<'_> {
        Upstream::data(self)
    }

    #[inline]
    fn consume(&mut self, count: usize) {
        Upstream::consume(self, count);
    }
}

impl Receiver for Upstream {
    #[inline]
    fn poll_send(&mut self, cx: &mut Context<'_>, data: Data<'_>) -> Poll<io::Result<usize>> {
        Upstream::poll_send(self, cx, data)
    }

    #[inline]
    fn finish(&mut self, trailers: &Headers) {
        Upstream::finish(self, trailers);
    }

    #[inline]
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Upstream::poll_flush(self, cx)
    }
}
