//! One request of a client and the way of its response.

use std::fmt;
use std::io;
use std::task::{Context, Poll, ready};

use ::h2::server::SendResponse;
use ::h2::{RecvStream, SendStream};
use bytes::{Buf, Bytes};
use http::HeaderMap;
use http::request::Parts;
use sidegate_api::{Headers, RequestHead, ResponseHead};
use sidegate_protocol::http1::{BodyError, Limits, RequestError};
use sidegate_protocol::http2::{
    Follows, decode_request, decode_trailers, encode_interim, encode_response, encode_trailers,
};

use crate::{Announced, BodyEvent, BodyFault, Data, End, Last, RequestStart, Watch};

/// Bytes of a response that are held back, so that the end can ride on them,
/// and that wait for the client's window. One frame's worth.
const HELD: usize = 16 * 1024;
/// The same where they need not be copied.
const HELD_SHARED: usize = 64 * 1024;

/// A stream of a downstream connection. Dropped before its response has ended,
/// it is reset.
pub struct ServerStream {
    input: Input,
    recv: RecvStream,
    /// Bytes of the request that were lent and not consumed yet.
    data: Bytes,
    received: u64,
    limits: Limits,
    output: Output,
    respond: SendResponse<Bytes>,
    send: Option<SendStream<Bytes>>,
    /// Bytes of the response that were taken and not sent.
    held: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Body,
    Trailers,
    Done,
}

#[derive(Debug)]
enum Output {
    Head,
    Body,
    /// Nothing follows what is held but the end and perhaps trailers.
    Ending(Option<HeaderMap>),
    Done,
    /// It cannot go on: the stream was reset, or the head was no head.
    Broken,
}

/// A stream whose head was not looked at.
pub struct Incoming {
    parts: Parts,
    stream: ServerStream,
}

impl Incoming {
    pub(super) fn new(parts: Parts, recv: RecvStream, respond: SendResponse<Bytes>) -> Self {
        Incoming { parts, stream: ServerStream::new(recv, respond) }
    }

    /// Reads the request's head into `head`. The stream can be answered in any
    /// case.
    pub fn open(self, limits: &Limits, head: &mut RequestHead) -> (ServerStream, Result<RequestStart, RequestError>) {
        let Incoming { parts, mut stream } = self;
        let start = stream.read_head(&parts, limits, head);
        (stream, start)
    }

    /// Says that nobody has looked at it: the client may send it again.
    pub fn refuse(self) {
        let mut stream = self.stream;
        stream.end(End::Reset(crate::Reason::Refused));
    }
}

impl ServerStream {
    fn new(recv: RecvStream, respond: SendResponse<Bytes>) -> Self {
        ServerStream {
            input: if recv.is_end_stream() { Input::Done } else { Input::Body },
            recv,
            data: Bytes::new(),
            received: 0,
            limits: Limits::default(),
            output: Output::Head,
            respond,
            send: None,
            held: Bytes::new(),
        }
    }

    fn read_head(
        &mut self,
        parts: &Parts,
        limits: &Limits,
        head: &mut RequestHead,
    ) -> Result<RequestStart, RequestError> {
        let follows = if self.input == Input::Done { Follows::Nothing } else { Follows::More };
        let meta = decode_request(parts, follows, limits, head)?;
        self.limits.clone_from(limits);
        Ok(RequestStart {
            head_bytes: meta.head_bytes,
            version: meta.version,
            body: meta.body.into(),
            expect: meta.expect,
            trailers: meta.trailers,
            upgrade: meta.upgrade,
        })
    }

    /// What comes next of the request's body. After `Data(n)`, `n` bytes must
    /// be consumed before the next call.
    pub fn poll_body(&mut self, cx: &mut Context<'_>, trailers: &mut Headers) -> Poll<Result<BodyEvent, BodyFault>> {
        if !self.data.is_empty() {
            return Poll::Ready(Ok(BodyEvent::Data(self.data.len())));
        }
        while self.input == Input::Body {
            match ready!(self.recv.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.received += data.len() as u64;
                    if self.limits.max_body.is_some_and(|max| self.received > max) {
                        return Poll::Ready(Err(BodyError { status: 413, details: "body_too_large" }.into()));
                    }
                    if !data.is_empty() {
                        self.data = data;
                        return Poll::Ready(Ok(BodyEvent::Data(self.data.len())));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(body_fault(error))),
                None => self.input = Input::Trailers,
            }
        }
        if self.input == Input::Trailers {
            if let Some(fields) = ready!(self.recv.poll_trailers(cx)).map_err(body_fault)? {
                decode_trailers(&fields, &self.limits, trailers)?;
            }
            self.input = Input::Done;
        }
        Poll::Ready(Ok(BodyEvent::End))
    }

    /// The bytes that were lent and not consumed yet.
    pub fn data(&self) -> Data<'_> {
        Data::Shared(&self.data)
    }

    /// So many of them are not needed any more: the client may send as many.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.data.len());
        self.data.advance(count);
        if self.data.is_empty() {
            // What is left of it would keep all of the frame's memory.
            self.data = Bytes::new();
        }
        // Fails where more is given than was received: never.
        let _ = self.recv.flow_control().release_capacity(count);
    }

    /// Whether the request was read to its end.
    pub fn is_body_done(&self) -> bool {
        self.input == Input::Done && self.data.is_empty()
    }

    /// Tells the client to send the body that it holds back, unless some of it
    /// has come.
    pub fn invite_body(&mut self) {
        if self.received == 0 && self.input == Input::Body {
            self.interim(&ResponseHead { status: 100, ..ResponseHead::default() });
        }
    }

    /// Sends an informational response.
    pub fn interim(&mut self, head: &ResponseHead) {
        if let (Output::Head, Ok(head)) = (&self.output, encode_interim(head)) {
            // Where that fails, so will the response.
            let _ = self.respond.send_informational(head);
        }
    }

    /// Begins the response. A `date` is added where it has none. Whether it is
    /// the last on the connection is for the connection to say.
    pub fn start(&mut self, date: &[u8], head: &ResponseHead, body: Announced, _: Last) {
        if !matches!(self.output, Output::Head) {
            return;
        }
        let Ok(response) = encode_response(head, body.into(), date) else {
            self.respond.send_reset(::h2::Reason::INTERNAL_ERROR);
            self.output = Output::Broken;
            return;
        };
        match self.respond.send_response(response, body.is_empty()) {
            Ok(send) => {
                self.send = Some(send);
                self.output = if body.is_empty() { Output::Done } else { Output::Body };
            }
            Err(_) => self.output = Output::Broken,
        }
    }

    /// Whether trailers can follow the response's body.
    pub fn carries_trailers(&self) -> bool {
        !matches!(self.output, Output::Done | Output::Broken)
    }

    /// Takes some of `data`; says how much. Pending while what was taken before
    /// waits for the client's window.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, data: Data<'_>) -> Poll<io::Result<usize>> {
        ready!(self.poll_held(cx))?;
        match self.output {
            Output::Body => {}
            // A head that announced no body.
            Output::Done => return Poll::Ready(Ok(data.as_slice().len())),
            Output::Head | Output::Ending(_) | Output::Broken => return Poll::Ready(Err(reset())),
        }
        self.held = match data {
            Data::Shared(bytes) => bytes.slice(..bytes.len().min(HELD_SHARED)),
            Data::Slice(bytes) => Bytes::copy_from_slice(&bytes[..bytes.len().min(HELD)]),
        };
        Poll::Ready(Ok(self.held.len()))
    }

    /// Ends the response's body.
    pub fn finish(&mut self, trailers: &Headers) {
        if let Output::Body = self.output {
            let trailers = if trailers.is_empty() { None } else { encode_trailers(trailers).ok() };
            self.output = Output::Ending(trailers.filter(|trailers| !trailers.is_empty()));
        }
    }

    /// Sends everything that was taken, as far as the client's window lets it.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_held(cx))?;
        match std::mem::replace(&mut self.output, Output::Done) {
            Output::Ending(trailers) => {
                let Some(send) = &mut self.send else { return Poll::Ready(Err(reset())) };
                let sent = match trailers {
                    Some(trailers) => send.send_trailers(trailers),
                    None => send.send_data(Bytes::new(), true),
                };
                Poll::Ready(sent.map_err(io_error))
            }
            Output::Broken => {
                self.output = Output::Broken;
                Poll::Ready(Err(reset()))
            }
            other => {
                self.output = other;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Sends what is held; its last frame ends the stream where nothing comes
    /// behind it.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let Some(send) = &mut self.send else { return Poll::Ready(Err(reset())) };
            send.reserve_capacity(self.held.len());
            let mut room = send.capacity();
            while room == 0 {
                match ready!(send.poll_capacity(cx)) {
                    Some(more) => room = more.map_err(io_error)?,
                    None => {
                        self.output = Output::Broken;
                        self.held = Bytes::new();
                        return Poll::Ready(Err(reset()));
                    }
                }
            }
            let part = self.held.split_to(room.min(self.held.len()));
            let ends = self.held.is_empty() && matches!(self.output, Output::Ending(None));
            if ends {
                self.output = Output::Done;
            }
            send.send_data(part, ends).map_err(io_error)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what was taken of a body that will not come to its end, as far as
    /// the client's window lets it.
    pub fn push(&mut self, cx: &mut Context<'_>) {
        if let Output::Body = self.output {
            // That it may fail is nothing new to whoever gives it up.
            let _ = self.poll_held(cx);
        }
    }

    /// Whether nothing that was taken waits.
    pub fn is_flushed(&self) -> bool {
        self.held.is_empty() && !matches!(self.output, Output::Ending(_))
    }

    /// Bytes that wait.
    pub fn waiting_capacity(&self) -> usize {
        self.held.len()
    }

    /// Ready when the client has reset the stream or its connection has failed.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Watch> {
        let reset = match &mut self.send {
            Some(send) => send.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        };
        reset.map(|_| Watch::Gone)
    }

    /// The stream ends so. A request that was not read to its end is given up
    /// with `NO_ERROR` behind its response (RFC 9113 section 8.1): the crate
    /// does that when the stream is dropped.
    pub fn end(&mut self, end: End) {
        if let End::Reset(reason) = end {
            self.respond.send_reset(reset_code(reason));
            self.output = Output::Broken;
            self.held = Bytes::new();
        }
    }

    /// The stream's number.
    pub fn id(&self) -> u32 {
        self.respond.stream_id().as_u32()
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerStream")
            .field("id", &self.id())
            .field("input", &self.input)
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

/// RFC 9113 section 7.
pub(super) fn reset_code(reason: crate::Reason) -> ::h2::Reason {
    match reason {
        crate::Reason::Cancel => ::h2::Reason::CANCEL,
        crate::Reason::Refused => ::h2::Reason::REFUSED_STREAM,
        crate::Reason::Protocol => ::h2::Reason::PROTOCOL_ERROR,
        crate::Reason::Internal => ::h2::Reason::INTERNAL_ERROR,
        crate::Reason::TooMuch => ::h2::Reason::ENHANCE_YOUR_CALM,
        crate::Reason::Http11Required => ::h2::Reason::HTTP_1_1_REQUIRED,
    }
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

fn io_error(error: ::h2::Error) -> io::Error {
    error.into_io().unwrap_or_else(reset)
}

/// The crate resets streams whose body is not as long as announced.
fn body_fault(error: ::h2::Error) -> BodyFault {
    if error.is_library() && error.is_reset() {
        return BodyFault::Refused(BodyError { status: 400, details: "body_invalid" });
    }
    BodyFault::Io(io_error(error))
}
