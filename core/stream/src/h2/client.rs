//! The client's side: requests to an upstream host, many on one connection.

mod connection;
mod drive;
mod fault;
mod incoming;
mod outgoing;
mod watcher;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use sidegate_api::{Headers, Method, PeerIdentity, PeerText, RequestHead, ResponseHead, TlsAgreed};
use sidegate_net::Traffic;
use sidegate_protocol::http1::Limits;
use sidegate_protocol::http2::{Follows, decode_response};

use self::fault::Fault;
use self::incoming::{Body, Incoming};
use self::outgoing::Outgoing;
use crate::interim::Interim;
use crate::{Announced, BodyEvent, BodyFault, ClientError, Data, RequestStart, ResponseStart};

pub use connection::ClientConnection;
pub(crate) use connection::Cut;
pub use watcher::{Noticed, Watcher};

/// A place on an upstream connection, for one request and its response.
/// Dropped before both are whole it resets the stream with `CANCEL`.
#[derive(Debug)]
pub struct ClientStream {
    // In this order: the stream ends before its place is another's.
    incoming: Incoming,
    outgoing: Outgoing,
    place: Place,
    /// Requests that the connection had, this one included.
    requests: u32,
    interim: Interim,
    traffic: Traffic,
    /// Bytes that had come over the connection when the request began.
    heard: u64,
}

/// Given back on drop.
#[derive(Debug)]
struct Place(Rc<ClientConnection>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl ClientStream {
    /// `connection` has counted the place.
    fn new(connection: Rc<ClientConnection>) -> Self {
        let requests = connection.requests();
        ClientStream {
            incoming: Incoming::Idle,
            outgoing: Outgoing::default(),
            place: Place(connection),
            requests,
            interim: Interim::default(),
            traffic: Traffic::default(),
            heard: 0,
        }
    }

    fn connection(&self) -> &ClientConnection {
        &self.place.0
    }

    /// Number of its connection in the process, where somebody gave it one.
    pub fn id(&self) -> Option<u64> {
        self.connection().id()
    }

    /// Our end of its connection.
    pub fn local_address(&self) -> Option<Arc<PeerText>> {
        self.connection().local_address()
    }

    /// What was agreed on in TLS, if that is spoken.
    pub fn tls_agreed(&self) -> Option<TlsAgreed> {
        self.connection().tls_agreed()
    }

    /// Who the host is, if it speaks TLS and was verified.
    pub fn peer(&self) -> Option<Arc<dyn PeerIdentity>> {
        self.connection().peer()
    }

    /// Requests that its connection had, this one included.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// Whether the connection carried a request before this one.
    pub fn is_reused(&self) -> bool {
        self.requests > 1
    }

    /// Bytes of this request and response so far; heads as they are before
    /// compression, since what that saves belongs to no stream alone.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Begins the request with its head. A request that asks for another
    /// protocol must not come here.
    pub fn start(&mut self, head: &RequestHead, body: Announced, start: &RequestStart) {
        let length = match body {
            Announced::Length(length) => Some(length),
            Announced::Nothing | Announced::Open => None,
        };
        let request = match self.place.0.encode(head, length, start) {
            Ok(request) => request,
            Err(error) => {
                self.incoming = Incoming::Failed(Fault::Unsendable(error.part));
                return;
            }
        };
        self.heard = self.connection().traffic().read;
        let bytes = head.headers.byte_len() + head.target().len() + head.authority.len() + head.method.as_str().len();
        match self.place.0.send(request, body.is_empty()) {
            Ok((response, stream)) => {
                self.traffic.written += bytes as u64;
                self.incoming = Incoming::Head(response);
                self.outgoing = Outgoing::new(stream, body);
            }
            Err(fault) => self.incoming = Incoming::Failed(fault),
        }
    }

    /// Whether the host has shown that it has the request.
    pub fn is_answered(&self) -> bool {
        self.interim.any() || matches!(self.incoming, Incoming::Bare(_) | Incoming::Body(_) | Incoming::Done)
    }

    /// The next response head, informational or final. Of informational ones
    /// there is a bound in number and bytes.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Limits,
        method: &Method,
        head: &mut ResponseHead,
    ) -> Poll<Result<ResponseStart, ClientError>> {
        if let Incoming::Bare(_) = self.incoming {
            return self.poll_bare(cx);
        }
        let (status, fields, body) = match ready!(self.incoming.poll_head(cx)) {
            Ok(received) => received,
            Err(fault) => return Poll::Ready(Err(self.failed(fault))),
        };
        let follows = match &body {
            Some(body) if body.is_end_stream() => Follows::Nothing,
            _ => Follows::More,
        };
        let decoded = decode_response(status, &fields, follows, limits, method, head);
        let length = match decoded {
            Ok(length) => length,
            Err(error) => {
                self.reset(h2::Reason::PROTOCOL_ERROR);
                return Poll::Ready(Err(error.into()));
            }
        };
        let bytes = head.headers.byte_len() + 3;
        self.traffic.read += bytes as u64;
        match body {
            None => {
                if let Err(error) = self.interim.add(bytes) {
                    self.reset(h2::Reason::ENHANCE_YOUR_CALM);
                    return Poll::Ready(Err(error));
                }
            }
            Some(_) if follows == Follows::Nothing => self.incoming = Incoming::Done,
            Some(body) => {
                let body = Body::new(body, length, limits);
                if Announced::from(length).is_empty() {
                    self.incoming = Incoming::Bare(Box::new((body, length)));
                    return self.poll_bare(cx);
                }
                self.incoming = Incoming::Body(body);
            }
        }
        Poll::Ready(Ok(ResponseStart { body: length.into() }))
    }

    /// A response that has no body but whose stream goes on: a client hears of it
    /// once that is true, since nothing could take it back (RFC 9113 section
    /// 8.1.1).
    #[cold]
    fn poll_bare(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseStart, ClientError>> {
        let Incoming::Bare(bare) = &mut self.incoming else {
            return Poll::Ready(Err(ClientError::ClosedBeforeResponse));
        };
        let (body, length) = (&mut bare.0, bare.1);
        match ready!(body.poll_bare(cx, length)) {
            Ok(()) => {
                self.incoming = Incoming::Done;
                Poll::Ready(Ok(ResponseStart { body: length.into() }))
            }
            Err(fault) => {
                if matches!(fault, Fault::Body(_)) {
                    self.reset(h2::Reason::PROTOCOL_ERROR);
                }
                Poll::Ready(Err(self.failed(fault)))
            }
        }
    }

    #[cold]
    fn failed(&mut self, fault: Fault) -> ClientError {
        let mut fault = self.connection().blame(fault);
        if let (Fault::Protocol, Incoming::Head(response)) = (&fault, &self.incoming)
            && self.connection().had_large_head(response.stream_id().as_u32())
        {
            fault = Fault::HeadTooLarge;
        }
        if matches!(fault, Fault::NotProcessed) {
            self.connection().notice(Noticed::NotProcessed);
        }
        self.incoming = Incoming::Failed(fault.clone());
        fault.into_client_error()
    }

    /// What comes next of the response's body. After `Data(n)`, `n` bytes must
    /// be consumed before the next call.
    pub fn poll_body(&mut self, cx: &mut Context<'_>, trailers: &mut Headers) -> Poll<Result<BodyEvent, BodyFault>> {
        let body = match &mut self.incoming {
            Incoming::Body(body) => body,
            Incoming::Done => return Poll::Ready(Ok(BodyEvent::End)),
            Incoming::Failed(fault) => return Poll::Ready(Err(fault.clone().into_body_fault())),
            Incoming::Idle | Incoming::Head(_) | Incoming::Bare(_) => return Poll::Ready(Err(BodyFault::Closed)),
        };
        match ready!(body.poll(cx, trailers)) {
            Ok(BodyEvent::Data(count)) => {
                self.traffic.read += count as u64;
                Poll::Ready(Ok(BodyEvent::Data(count)))
            }
            Ok(BodyEvent::End) => {
                self.traffic.read += trailers.byte_len() as u64;
                self.incoming = Incoming::Done;
                Poll::Ready(Ok(BodyEvent::End))
            }
            Err(fault) => Poll::Ready(Err(self.body_failed(fault))),
        }
    }

    #[cold]
    fn body_failed(&mut self, fault: Fault) -> BodyFault {
        let fault = self.connection().blame(fault);
        if matches!(fault, Fault::Body(_)) {
            self.reset(h2::Reason::PROTOCOL_ERROR);
        }
        self.incoming = Incoming::Failed(fault.clone());
        fault.into_body_fault()
    }

    /// The bytes that were lent and not consumed yet.
    pub fn data(&self) -> Data<'_> {
        match &self.incoming {
            Incoming::Body(body) => Data::Shared(body.data()),
            _ => Data::Slice(&[]),
        }
    }

    /// So many of them are not needed any more: the host may send as many.
    pub fn consume(&mut self, count: usize) {
        if let Incoming::Body(body) = &mut self.incoming {
            body.consume(count);
        }
    }

    /// Whether the response was read to its end.
    pub fn is_body_done(&self) -> bool {
        match &self.incoming {
            Incoming::Body(body) => body.is_done(),
            Incoming::Done => true,
            _ => false,
        }
    }

    /// Whether trailers can follow the request's body.
    pub fn carries_trailers(&self) -> bool {
        self.outgoing.carries_trailers()
    }

    /// Sends some of `data`; says how much of it went. Waits for the host's
    /// window.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, data: Data<'_>) -> Poll<io::Result<usize>> {
        let sent = ready!(self.outgoing.poll_send(cx, data));
        if let Ok(count) = &sent {
            self.traffic.written += *count as u64;
        }
        Poll::Ready(sent)
    }

    /// Ends the request's body.
    pub fn finish(&mut self, trailers: &Headers) {
        self.traffic.written += trailers.byte_len() as u64;
        if let Err(part) = self.outgoing.finish(trailers) {
            self.reset(h2::Reason::INTERNAL_ERROR);
            self.incoming = Incoming::Failed(Fault::Unsendable(part));
        }
    }

    /// Hands over what was sent so far.
    pub fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.outgoing.flush())
    }

    /// Whether nothing is held back.
    pub fn is_flushed(&self) -> bool {
        self.outgoing.is_flushed()
    }

    /// The request is given up: nobody wants the response any more.
    pub fn cancel(&mut self) {
        self.reset(h2::Reason::CANCEL);
    }

    /// The host took too long. If nothing at all came over the connection
    /// meanwhile, it may be gone without a word: other requests go elsewhere.
    #[cold]
    pub fn distrust(&self) {
        if self.connection().traffic().read == self.heard {
            self.connection().close();
        }
    }

    #[cold]
    fn reset(&mut self, reason: h2::Reason) {
        self.outgoing.reset(reason);
    }
}
