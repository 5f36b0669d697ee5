//! The server's side: requests from a client.

use std::io;
use std::task::{Context, Poll, ready};

use sidegate_api::{HeaderCase, Headers, Protocol, RequestHead, ResponseHead};
use sidegate_net::{BufferPool, PeerEnd, Socket, Traffic};
use sidegate_protocol::http1::{
    BodyLength, CONTINUE, Decoded, Grammar, Limits, Persistence, RequestDecoder, RequestError, ResponseFraming,
    encode_response_head, only_blank_lines,
};

use super::body::BodyIn;
use super::out::BodyOut;
use crate::h2::PREFACE;
use crate::{Announced, BodyEvent, BodyFault, End, Last, Pipe, RequestStart, Watch};

/// A downstream connection.
#[derive(Debug)]
pub struct Server {
    pipe: Pipe,
    body: BodyIn,
    out: BodyOut,
    decoder: RequestDecoder,
    exchange: Exchange,
    /// What of the socket's traffic was told.
    told: Traffic,
}

/// What of the current request belongs to the connection.
#[derive(Debug)]
struct Exchange {
    version: Protocol,
    /// How field names are written.
    case: HeaderCase,
    /// What the client wants of the connection.
    wished: Persistence,
    /// What the response's head said of it.
    told: Persistence,
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

impl Exchange {
    /// With a client of which nothing is known: whatever it is told is the
    /// last.
    fn unknown(case: HeaderCase) -> Self {
        Exchange { version: Protocol::Http11, case, wished: Persistence::Close, told: Persistence::Close }
    }
}

impl Server {
    /// Serves `socket`.
    pub fn new(socket: Socket, pool: BufferPool) -> Self {
        Server {
            pipe: Pipe::new(socket, pool),
            body: BodyIn::new(),
            out: BodyOut::new(),
            decoder: RequestDecoder::new(),
            exchange: Exchange::unknown(HeaderCase::Lower),
            told: Traffic::default(),
        }
    }

    /// Bytes that went over the socket since the last call, heads and framing
    /// included.
    pub fn new_traffic(&mut self) -> Traffic {
        let now = self.pipe.socket.traffic();
        let before = std::mem::replace(&mut self.told, now);
        Traffic { read: now.read - before.read, written: now.written - before.written }
    }

    /// Whether the client has begun a request that was not decoded yet.
    fn has_begun(&self) -> bool {
        !self.pipe.input.is_empty() && !only_blank_lines(self.pipe.input.filled())
    }

    /// Ready when the client has begun a request, closed, or failed; holds no
    /// buffer while it waits for the first byte.
    pub fn poll_begin(&mut self, cx: &mut Context<'_>, max_head_bytes: usize) -> Poll<Result<(), ServerError>> {
        loop {
            if self.has_begun() {
                return Poll::Ready(Ok(()));
            }
            self.pipe.input.release();
            let read = ready!(self.pipe.socket.poll_read(cx, &mut self.pipe.input, max_head_bytes))?;
            if read == 0 {
                return Poll::Ready(Err(ServerError::Closed));
            }
        }
    }

    /// Whether the client speaks HTTP/2 and knew beforehand that we do: what it
    /// sends begins with that protocol's preface. Holds no buffer while it waits
    /// for the first byte.
    pub fn poll_greeting(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, ServerError>> {
        loop {
            let filled = self.pipe.input.filled();
            let length = filled.len().min(PREFACE.len());
            if filled[..length] != PREFACE[..length] {
                return Poll::Ready(Ok(false));
            }
            if length == PREFACE.len() {
                return Poll::Ready(Ok(true));
            }
            self.pipe.input.release();
            if ready!(self.pipe.socket.poll_read(cx, &mut self.pipe.input, 0))? == 0 {
                return Poll::Ready(Err(ServerError::ClosedInHead));
            }
        }
    }

    /// The socket, and what was read from it.
    pub fn into_parts(self) -> (Socket, Vec<u8>) {
        let early = self.pipe.input.filled().to_vec();
        (self.pipe.socket, early)
    }

    /// Reads and decodes the head of the request that has begun. Names of what
    /// is answered are written as `case` says.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Limits,
        case: HeaderCase,
        head: &mut RequestHead,
    ) -> Poll<Result<RequestStart, ServerError>> {
        self.exchange = Exchange::unknown(case);
        // Room for the tolerated blank lines beside a head of the full size.
        let max = limits.max_head_bytes + 16;
        loop {
            match self.decoder.decode(self.pipe.input.filled(), limits, head)? {
                Decoded::Complete { consumed, meta } => {
                    self.pipe.input.consume(consumed);
                    self.body.expect(meta.body, limits, Grammar::Strict);
                    self.exchange.version = meta.version;
                    self.exchange.wished = meta.persistence;
                    return Poll::Ready(Ok(RequestStart {
                        head_bytes: meta.head_bytes,
                        version: meta.version,
                        body: meta.body.into(),
                        expect: meta.expect,
                        trailers: meta.trailers,
                        upgrade: meta.upgrade,
                    }));
                }
                Decoded::Partial => {}
            }
            if ready!(self.pipe.socket.poll_read(cx, &mut self.pipe.input, max))? == 0 {
                return Poll::Ready(Err(ServerError::ClosedInHead));
            }
        }
    }

    /// What comes next of the request's body. After `Data(n)`, `n` bytes must
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

    /// Whether the request was read to its end.
    #[inline]
    pub fn is_body_done(&self) -> bool {
        self.body.is_done()
    }

    /// Reads and drops what has arrived of the body, at most about `max` bytes,
    /// if the connection may then carry another request; says how many.
    pub fn drop_arrived_body(&mut self, cx: &mut Context<'_>, max: usize) -> u64 {
        match self.exchange.wished {
            Persistence::KeepAlive if !self.is_body_done() => self.body.drop_arrived(&mut self.pipe, cx, max),
            _ => 0,
        }
    }

    /// Gives read memory back that holds nothing.
    #[inline]
    pub fn release(&mut self) {
        self.pipe.input.release();
    }

    /// Tells the client to send the body that it holds back, unless some of it
    /// has come.
    pub fn invite_body(&mut self) {
        if self.pipe.input.is_empty() {
            self.pipe.waiting.end().extend_from_slice(CONTINUE);
        }
    }

    /// Begins an informational response, where the client knows such.
    pub fn interim(&mut self, head: &ResponseHead) {
        if self.exchange.version == Protocol::Http11 {
            self.encode(head, ResponseFraming::NoBody, Persistence::KeepAlive, b"");
        }
    }

    /// Begins the response. A `date` is added where it has none.
    #[inline]
    pub fn start(&mut self, date: &[u8], head: &ResponseHead, body: Announced, last: Last) {
        let framing = ResponseFraming::from(body).for_client(self.exchange.version);
        let persistence = match last {
            Last::No if self.body.is_done() => self.exchange.wished,
            _ => Persistence::Close,
        };
        self.exchange.told = self.encode(head, framing, persistence, date);
        let framing = match framing {
            ResponseFraming::NoBody => BodyLength::None,
            ResponseFraming::Length(length) => BodyLength::Length(length),
            ResponseFraming::Chunked => BodyLength::Chunked,
            ResponseFraming::UntilClose => BodyLength::UntilClose,
        };
        self.out.start(framing, self.exchange.case);
    }

    #[inline]
    fn encode(
        &mut self,
        head: &ResponseHead,
        framing: ResponseFraming,
        persistence: Persistence,
        date: &[u8],
    ) -> Persistence {
        let Exchange { version, case, .. } = self.exchange;
        encode_response_head(self.pipe.waiting.end(), head, framing, version, persistence, date, case)
    }

    /// Agrees to another protocol: both bodies are its bytes from here on, and
    /// the end of ours that of our side.
    pub fn switch(&mut self, head: &ResponseHead) {
        self.exchange.told = Persistence::Close;
        self.encode(head, ResponseFraming::NoBody, Persistence::Close, b"");
        self.body.switch();
        self.out.switch();
    }

    /// Whether trailers can follow the response's body.
    #[inline]
    pub fn carries_trailers(&self) -> bool {
        self.out.carries_trailers()
    }

    /// Sends some of `data`; says how much of it went.
    #[inline]
    pub fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.out.poll_send(&mut self.pipe, cx, data)
    }

    /// Ends the response's body.
    #[inline]
    pub fn finish(&mut self, trailers: &Headers) {
        self.out.finish(&mut self.pipe, trailers);
    }

    /// Writes everything that waits.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.out.poll_flush(&mut self.pipe, cx)
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_flushed(&self) -> bool {
        self.pipe.is_flushed()
    }

    /// Bytes of memory for what waits.
    pub fn waiting_capacity(&self) -> usize {
        self.pipe.waiting.capacity() + self.pipe.socket.held()
    }

    /// Frees what memory an idle connection can do without.
    pub fn slim(&mut self) {
        self.pipe.waiting.release();
    }

    /// While nothing is awaited from the client: what is known of its end. What
    /// it sends is read as far as it fits, so that it does not hide that; while
    /// it has sent nothing, no buffer is held.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Watch> {
        while self.pipe.input.is_empty() || !(self.body.is_done() || self.pipe.input.is_full()) {
            self.pipe.input.release();
            match ready!(self.pipe.socket.poll_read(cx, &mut self.pipe.input, 0)) {
                Ok(0) => return Poll::Ready(Watch::SaysNoMore),
                Ok(_) => {}
                Err(_) => return Poll::Ready(Watch::Gone),
            }
        }
        Poll::Ready(Watch::Hidden)
    }

    /// What the kernel knows of the client's end, behind bytes that wait.
    pub fn peer_end(&self) -> PeerEnd {
        self.pipe.socket.peer_end()
    }

    /// Whether the response's head said that the connection stays.
    pub fn persists(&self) -> bool {
        self.exchange.told == Persistence::KeepAlive
    }

    /// Whether nothing that the client sent is left unread: then a plain close
    /// harms nobody.
    pub fn is_spent(&self) -> bool {
        (self.body.is_done() || self.body.has_switched()) && self.pipe.input.is_empty()
    }

    /// The connection ends so.
    pub fn end(&mut self, end: End) {
        if let End::Reset(_) = end {
            self.pipe.socket.reset_on_close();
        }
    }

    /// Ends our side and reads what the client still sends, up to `left` bytes.
    pub fn poll_linger(&mut self, cx: &mut Context<'_>, left: &mut usize) -> Poll<()> {
        self.pipe.poll_linger(cx, left)
    }
}
