//! What happens beside the relay's bytes: chunks take their way through the
//! filters, a held response lets the request go on, a silent client may leave.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sidegate_api::{BodyBuffer, BodyDirection, EndOfStream, ResponseFlags};
use sidegate_protocol::http1::BodyLength;
use sidegate_stream::BodyEvent;

use crate::body_pass::Hold;
use crate::halt::Halt;
use crate::held::SPARE_BYTES;
use crate::relay::{Attempt, Download, Event, RequestEnd, Upload};
use crate::stream::{ClientSide, Stream};

/// How long a client that ended its side is worked for without progress.
const HALF_CLOSED: Duration = Duration::from_secs(2);

impl Stream<'_> {
    pub(crate) async fn filter_request_chunk(&mut self, attempt: &mut Attempt, count: usize) -> Result<(), Halt> {
        let wire = &mut self.down.wire;
        self.state.request_body.replace(&wire.input.filled()[..count]);
        wire.take_body(count);
        let listener = self.listener.clone();
        self.chunk(BodyDirection::Request, &listener.plan.request_body, EndOfStream::More).await?;
        self.recount_here().await;
        attempt.upload = Upload::Buffered(EndOfStream::More);
        Ok(())
    }

    pub(crate) async fn filter_request_end(&mut self, attempt: &mut Attempt) -> Result<(), Halt> {
        let listener = self.listener.clone();
        self.state.request_body.clear();
        let end = self.body_ends(BodyDirection::Request);
        self.chunk(BodyDirection::Request, &listener.plan.request_body, end).await?;
        self.trailers(BodyDirection::Request, &listener.plan.request_body).await?;
        attempt.upload = Upload::Buffered(EndOfStream::End);
        Ok(())
    }

    pub(crate) async fn filter_response_chunk(&mut self, attempt: &mut Attempt, count: usize) -> Result<(), Halt> {
        let wire = &mut attempt.connection.wire;
        self.state.response_body.replace(&wire.input.filled()[..count]);
        wire.take_body(count);
        let listener = self.listener.clone();
        self.chunk(BodyDirection::Response, &listener.plan.response_body, EndOfStream::More).await?;
        self.recount_here().await;
        attempt.download = Download::Buffered(EndOfStream::More);
        Ok(())
    }

    pub(crate) async fn filter_response_end(&mut self, attempt: &mut Attempt) -> Result<(), Halt> {
        let listener = self.listener.clone();
        self.state.response_body.clear();
        let end = self.body_ends(BodyDirection::Response);
        self.chunk(BodyDirection::Response, &listener.plan.response_body, end).await?;
        self.trailers(BodyDirection::Response, &listener.plan.response_body).await?;
        attempt.download = Download::Buffered(EndOfStream::End);
        Ok(())
    }

    /// Collects the whole response body; each chunk first passes the streaming
    /// filters in front of `place`. The request goes on meanwhile.
    pub(crate) async fn hold_response(&mut self, attempt: &mut Attempt, place: usize) -> Result<(), Halt> {
        let listener = self.listener.clone();
        let before = &listener.plan.response_body[..place];
        let announced = attempt.meta.map_or(BodyLength::Chunked, |meta| meta.body);
        attempt.download = Download::Reading;
        loop {
            attempt.armed_at = None;
            match poll_fn(|cx| self.poll_held(cx, attempt)).await? {
                Event::RequestData(count) => self.filter_request_chunk(attempt, count).await?,
                Event::RequestEnd => self.filter_request_end(attempt).await?,
                Event::ResponseData(count) => {
                    let wire = &mut attempt.connection.wire;
                    self.state.response_body.replace(&wire.input.filled()[..count]);
                    wire.take_body(count);
                    self.chunk(BodyDirection::Response, before, EndOfStream::More).await?;
                    self.make_room(BodyDirection::Response, announced).await?;
                    self.keep_response_chunk()?;
                }
                Event::ResponseEnd => {
                    self.state.response_body.clear();
                    let end = self.body_ends(BodyDirection::Response);
                    self.chunk(BodyDirection::Response, before, end).await?;
                    self.trailers(BodyDirection::Response, before).await?;
                    self.make_room(BodyDirection::Response, announced).await?;
                    self.keep_response_chunk()?;
                    break;
                }
                Event::ResponseHead(_) | Event::Finished | Event::Stale | Event::Lost(_) | Event::Switched => {}
            }
        }
        self.timers.up.set(None);
        self.timers.down.set(None);
        std::mem::swap(&mut self.state.response_body, &mut self.response_pass.whole);
        self.response_pass.whole = BodyBuffer::new();
        self.response_pass.hold = Hold::Whole;
        self.response_pass.passed = place;
        self.recount_here().await;
        Ok(())
    }

    fn keep_response_chunk(&mut self) -> Result<(), Halt> {
        let whole = &mut self.response_pass.whole;
        whole.append(self.state.response_body.as_slice());
        let chunk = &mut self.state.response_body;
        chunk.clear();
        chunk.shrink(SPARE_BYTES);
        if whole.len() > self.listener.config.limits.max_buffered_body {
            return Err(Halt::upstream(502, "buffered_response_too_large", ResponseFlags::TOO_LARGE));
        }
        Ok(())
    }

    fn poll_held(&mut self, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Halt>> {
        if let Poll::Ready(event) = self.poll_upload(cx, attempt) {
            return Poll::Ready(event);
        }
        // A `100 Continue` may still be on its way.
        if let Poll::Ready(Err(_)) = self.down.wire.poll_flush(cx) {
            return Poll::Ready(Err(Halt::client_gone()));
        }
        match attempt.connection.wire.poll_body(cx, &mut self.state.response_trailers) {
            Poll::Ready(Ok(BodyEvent::Data(count))) => Poll::Ready(Ok(Event::ResponseData(count))),
            Poll::Ready(Ok(BodyEvent::End)) => Poll::Ready(Ok(Event::ResponseEnd)),
            Poll::Ready(Err(fault)) => {
                attempt.count.end = RequestEnd::ByHost;
                Poll::Ready(Err(Halt::response_body(fault)))
            }
            Poll::Pending => self.poll_waiting(cx, attempt),
        }
    }

    /// There is progress: gives a client that ended its side more time to
    /// show that it still reads.
    pub(crate) fn still_reading(&self) {
        if self.client_side == ClientSide::Ended {
            self.timers.leave.set(Some(HALF_CLOSED));
        }
    }

    /// While nothing is awaited from the client: notices that it has gone, so
    /// that nobody works for nobody. One that reset the connection has. One
    /// that ended its side may still read, or may have closed: it gets what
    /// comes within a while. Bytes that it sends meanwhile end the watch;
    /// without any, no buffer is held.
    pub(crate) fn poll_client_gone(&mut self, cx: &mut Context<'_>) -> Poll<Halt> {
        if self.client_side == ClientSide::Ended {
            return self.timers.leave.poll(cx).map(|()| Halt::client_gone());
        }
        let wire = &mut self.down.wire;
        // Body bytes that nobody takes yet must not hide that the client has
        // left; as many are read as fit. What follows the request may wait.
        while wire.input.is_empty() || !(wire.is_body_done() || wire.input.is_full()) {
            wire.input.release();
            match ready!(wire.socket.poll_read(cx, &mut wire.input, 0)) {
                Ok(0) => {
                    self.client_side = ClientSide::Ended;
                    self.timers.leave.set(Some(HALF_CLOSED));
                    return self.timers.leave.poll(cx).map(|()| Halt::client_gone());
                }
                Ok(_) => {}
                Err(_) => return Poll::Ready(Halt::client_gone()),
            }
        }
        Poll::Pending
    }
}
