//! A client's request and the way of its response, over any protocol.

use std::io::{self, ErrorKind};
use std::task::{Context, Poll};

use sidegate_api::{Headers, ResponseHead};
use sidegate_net::{PeerEnd, Traffic, WorkerContext};
use sidegate_protocol::http1::http_date;

use crate::flow::{Receiver, Sender};
use crate::{Announced, BodyEvent, BodyFault, Data, End, Last, Watch, h1, h2};

/// What carries one request from a client. Dispatch is by `match`: a call of
/// the first kind costs a branch that is predicted.
#[derive(Debug)]
pub enum Downstream<'c> {
    /// A connection of HTTP/1, whose current request it is.
    H1(&'c mut h1::Server),
    /// A stream of HTTP/2.
    H2(&'c mut h2::ServerStream),
}

/// Calls the same method of whichever carrier there is.
macro_rules! each {
    ($downstream:expr, $carrier:ident => $call:expr) => {
        match $downstream {
            Downstream::H1($carrier) => $call,
            Downstream::H2($carrier) => $call,
        }
    };
}

impl Downstream<'_> {
    /// What comes next of the request's body. After `Data(n)`, `n` bytes must
    /// be consumed before the next call.
    #[inline]
    pub fn poll_body(&mut self, cx: &mut Context<'_>, trailers: &mut Headers) -> Poll<Result<BodyEvent, BodyFault>> {
        each!(self, carrier => carrier.poll_body(cx, trailers))
    }

    /// The bytes that were lent and not consumed yet.
    #[inline]
    pub fn data(&self) -> Data<'_> {
        match self {
            Downstream::H1(carrier) => Data::Slice(carrier.data()),
            Downstream::H2(carrier) => carrier.data(),
        }
    }

    /// So many of them are not needed any more.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        each!(self, carrier => carrier.consume(count));
    }

    /// Whether the request was read to its end.
    #[inline]
    pub fn is_body_done(&self) -> bool {
        each!(self, carrier => carrier.is_body_done())
    }

    /// Nobody needs the rest of the body: drops what has arrived, at most about
    /// `max` bytes, where that keeps the carrier of use; says how many.
    pub fn drop_arrived_body(&mut self, cx: &mut Context<'_>, max: usize) -> u64 {
        match self {
            Downstream::H1(carrier) => carrier.drop_arrived_body(cx, max),
            // The connection is of use in any case.
            Downstream::H2(_) => 0,
        }
    }

    /// Gives read memory back that holds nothing.
    #[inline]
    pub fn release(&mut self) {
        match self {
            Downstream::H1(carrier) => carrier.release(),
            Downstream::H2(_) => {}
        }
    }

    /// Tells the client to send the body that it holds back.
    pub fn invite_body(&mut self) {
        each!(self, carrier => carrier.invite_body());
    }

    /// Begins an informational response, where the client knows such.
    pub fn interim(&mut self, head: &ResponseHead) {
        each!(self, carrier => carrier.interim(head));
    }

    /// Begins the response. A `date` is added where it has none.
    #[inline]
    pub fn start(&mut self, worker: &WorkerContext, head: &ResponseHead, body: Announced, last: Last) {
        let format = |now, text: &mut Vec<u8>| text.extend_from_slice(&http_date(now));
        worker.with_date(format, |date| each!(self, carrier => carrier.start(date, head, body, last)));
    }

    /// Agrees to another protocol, if the carrier can: what is received and sent
    /// from here on is its bytes, and ends with either side.
    pub fn switch(&mut self, head: &ResponseHead) -> io::Result<()> {
        match self {
            Downstream::H1(carrier) => {
                carrier.switch(head);
                Ok(())
            }
            Downstream::H2(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Whether trailers can follow the response's body.
    #[inline]
    pub fn carries_trailers(&self) -> bool {
        each!(self, carrier => carrier.carries_trailers())
    }

    /// Sends some of `data`; says how much of it went.
    #[inline]
    pub fn poll_send(&mut self, cx: &mut Context<'_>, data: Data<'_>) -> Poll<io::Result<usize>> {
        match self {
            Downstream::H1(carrier) => carrier.poll_send(cx, data.as_slice()),
            Downstream::H2(carrier) => carrier.poll_send(cx, data),
        }
    }

    /// Ends the response's body.
    #[inline]
    pub fn finish(&mut self, trailers: &Headers) {
        each!(self, carrier => carrier.finish(trailers));
    }

    /// Writes what was sent so far.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, carrier => carrier.poll_flush(cx))
    }

    /// Whether nothing waits to be written.
    #[inline]
    pub fn is_flushed(&self) -> bool {
        each!(self, carrier => carrier.is_flushed())
    }

    /// Bytes of memory for what waits.
    pub fn waiting_capacity(&self) -> usize {
        each!(self, carrier => carrier.waiting_capacity())
    }

    /// While nothing is awaited from the client: what is known of its end.
    #[inline]
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Watch> {
        each!(self, carrier => carrier.poll_gone(cx))
    }

    /// What the kernel knows of the client's end, behind bytes that wait.
    pub fn peer_end(&self) -> PeerEnd {
        match self {
            Downstream::H1(carrier) => carrier.peer_end(),
            // Nothing of it hides behind bytes: `poll_gone` says it all.
            Downstream::H2(_) => PeerEnd::Open,
        }
    }

    /// Bytes that went over a connection that is this request's alone, since
    /// the last call; heads and framing included.
    #[inline]
    pub fn new_traffic(&mut self) -> Traffic {
        match self {
            Downstream::H1(carrier) => carrier.new_traffic(),
            Downstream::H2(_) => Traffic::default(),
        }
    }

    /// The request's carrier ends so.
    pub fn end(&mut self, end: End) {
        each!(self, carrier => carrier.end(end));
    }
}

impl Sender for Downstream<'_> {
    #[inline]
    fn poll_body(&mut self, cx: &mut Context<'_>, trailers: &mut Headers) -> Poll<Result<BodyEvent, BodyFault>> {
        Downstream::poll_body(self, cx, trailers)
    }

    #[inline]
    fn data(&self) -> Data<'_> {
        Downstream::data(self)
    }

    #[inline]
    fn consume(&mut self, count: usize) {
        Downstream::consume(self, count);
    }
}

impl Receiver for Downstream<'_> {
    #[inline]
    fn poll_send(&mut self, cx: &mut Context<'_>, data: Data<'_>) -> Poll<io::Result<usize>> {
        Downstream::poll_send(self, cx, data)
    }

    #[inline]
    fn finish(&mut self, trailers: &Headers) {
        Downstream::finish(self, trailers);
    }

    #[inline]
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Downstream::poll_flush(self, cx)
    }
}
