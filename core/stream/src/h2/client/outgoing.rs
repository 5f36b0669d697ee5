//! A request's body on its way.

use std::io::{self, ErrorKind};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use sidegate_api::Headers;
use sidegate_protocol::http2::encode_trailers;

use crate::{Announced, Data};

/// A body on its way out, one chunk behind: so that the end can ride on the
/// last one.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// `None` before the head.
    stream: Option<SendStream<Bytes>>,
    /// Taken and not handed over; there is window for it.
    held: Bytes,
    state: State,
    /// Whether trailers may follow.
    trailers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Open,
    /// `END_STREAM` is on its way.
    Ended,
    /// The host takes no more.
    Broken,
}

impl Outgoing {
    pub(super) fn new(stream: SendStream<Bytes>, body: Announced) -> Self {
        let state = if body.is_empty() { State::Ended } else { State::Open };
        Outgoing { stream: Some(stream), held: Bytes::new(), state, trailers: !body.is_empty() }
    }

    pub(super) fn carries_trailers(&self) -> bool {
        self.trailers
    }

    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, data: Data<'_>) -> Poll<io::Result<usize>> {
        self.flush()?;
        let (Some(stream), State::Open) = (&mut self.stream, self.state) else {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        };
        let bytes = data.as_slice();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        stream.reserve_capacity(bytes.len());
        let mut room = stream.capacity();
        if room == 0 {
            room = match ready!(stream.poll_capacity(cx)) {
                Some(Ok(room)) => room,
                Some(Err(_)) | None => {
                    self.state = State::Broken;
                    return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
                }
            };
        }
        let count = room.min(bytes.len());
        self.held = match data {
            Data::Slice(bytes) => Bytes::copy_from_slice(&bytes[..count]),
            Data::Shared(bytes) => bytes.slice(..count),
        };
        Poll::Ready(Ok(count))
    }

    /// Hands over what is held back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        self.hand_over(|stream| stream.send_data(held, false))
    }

    /// Ends the body. A trailer that cannot be sent fails the request.
    pub(super) fn finish(&mut self, trailers: &Headers) -> Result<(), &'static str> {
        if self.state != State::Open {
            return Ok(());
        }
        // What fails here has failed for the response, too, which tells why.
        if trailers.is_empty() {
            let held = std::mem::take(&mut self.held);
            let _ = self.hand_over(|stream| stream.send_data(held, true));
        } else {
            let section = encode_trailers(trailers).map_err(|error| error.part)?;
            let _ = self.flush();
            let _ = self.hand_over(|stream| match section.is_empty() {
                true => stream.send_data(Bytes::new(), true),
                false => stream.send_trailers(section),
            });
        }
        if self.state == State::Open {
            self.state = State::Ended;
        }
        Ok(())
    }

    fn hand_over(&mut self, what: impl FnOnce(&mut SendStream<Bytes>) -> Result<(), h2::Error>) -> io::Result<()> {
        if let (Some(stream), State::Open) = (&mut self.stream, self.state)
            && what(stream).is_ok()
        {
            return Ok(());
        }
        self.state = State::Broken;
        Err(ErrorKind::BrokenPipe.into())
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.held.is_empty()
    }

    #[cold]
    pub(super) fn reset(&mut self, reason: Reason) {
        if let Some(stream) = &mut self.stream {
            stream.send_reset(reason);
        }
        self.held = Bytes::new();
        self.state = State::Broken;
    }
}
