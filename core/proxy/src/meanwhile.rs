//! What happens beside the relay's bytes: chunks take their way through the
//! filters, a held response lets the request go on, a silent client may leave.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sidegate_api::{BodyBuffer, BodyDirection, EndOfStream, ResponseFlags};
use sidegate_net::PeerEnd;
use sidegate_stream::{Announced, BodyEvent, Watch};

use crate::body_pass::Hold;
use crate::halt::Halt;
use crate::held::SPARE_BYTES;
use crate::relay::{Attempt, Download, Event, RequestEnd, Upload};
use crate::stream::{ClientSide, Stream};

/// How long a client that ended its side is worked for without progress.
const HALF_CLOSED: Duration = Duration::from_secs(2);
/// How often a client with unread bytes is looked at.
const LOOK: Duration = Duration::from_millis(250);

impl Stream<'_> {
    pub(crate) async fn filter_request_chunk(&mut self, attempt: &mut Attempt, count: usize) -> Result<(), Halt> {
        self.state.request_body.replace(self.client.data().as_slice());
        self.client.consume(count);
        let listener = self.listener;
        self.chunk(BodyDirection::Request, &listener.plan.request_body, EndOfStream::More).await?;
        self.recount_here().await;
        attempt.upload = Upload::Buffered(EndOfStream::More);
        Ok(())
    }

    pub(crate) async fn filter_request_end(&mut self, attempt: &mut Attempt) -> Result<(), Halt> {
        let listener = self.listener;
        self.state.request_body.clear();
        let end = self.body_ends(BodyDirection::Request);
        self.chunk(BodyDirection::Request, &listener.plan.request_body, end).await?;
        self.trailers(BodyDirection::Request, &listener.plan.request_body).await?;
        attempt.upload = Upload::Buffered(EndOfStream::End);
        Ok(())
    }

    pub(crate) async fn filter_response_chunk(&mut self, attempt: &mut Attempt, count: usize) -> Result<(), Halt> {
        self.state.response_body.replace(attempt.upstream.data().as_slice());
        attempt.upstream.consume(count);
        let listener = self.listener;
        self.chunk(BodyDirection::Response, &listener.plan.response_body, EndOfStream::More).await?;
        self.recount_here().await;
        attempt.download = Download::Buffered(EndOfStream::More);
        Ok(())
    }

    pub(crate) async fn filter_response_end(&mut self, attempt: &mut Attempt) -> Result<(), Halt> {
        let listener = self.listener;
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
        let listener = self.listener;
        let before = &listener.plan.response_body[..place];
        let announced = attempt.start.map_or(Announced::Open, |start| start.body);
        attempt.download = Download::Reading;
        loop {
            attempt.armed_at = None;
            match poll_fn(|cx| self.poll_held(cx, attempt)).await? {
                Event::RequestData(count) => self.filter_request_chunk(attempt, count).await?,
                Event::RequestEnd => self.filter_request_end(attempt).await?,
                Event::ResponseData(count) => {
                    self.state.response_body.replace(attempt.upstream.data().as_slice());
                    attempt.upstream.consume(count);
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
        if let Poll::Ready(Err(_)) = self.client.poll_flush(cx) {
            return Poll::Ready(Err(Halt::client_gone()));
        }
        match attempt.upstream.poll_body(cx, &mut self.state.response_trailers) {
            Poll::Ready(Ok(BodyEvent::Data(count))) => Poll::Ready(Ok(Event::ResponseData(count))),
            Poll::Ready(Ok(BodyEvent::End)) => Poll::Ready(Ok(Event::ResponseEnd)),
            Poll::Ready(Err(fault)) => {
                attempt.count.end = RequestEnd::ByHost;
                Poll::Ready(Err(Halt::response_body(fault)))
            }
            Poll::Pending => self.poll_waiting(cx, attempt),
        }
    }

    /// Gives a client that ended its side more time to show that it still
    /// reads, if there is something that it may have read. That a request goes
    /// to another host is nothing to the client.
    pub(crate) fn still_reading(&mut self) {
        if let ClientSide::Ended { at } = self.client_side
            && at != self.moved_for_client()
        {
            self.client_ended();
        }
    }

    fn client_ended(&mut self) {
        self.client_side = ClientSide::Ended { at: self.moved_for_client() };
        self.timers.leave.set(Some(HALF_CLOSED));
    }

    /// Grows with all that comes from the client or goes to it.
    fn moved_for_client(&self) -> u64 {
        self.state.info.bytes_received + self.state.info.bytes_sent + u64::from(self.sent_status != 0)
    }

    /// While nothing is awaited from the client: notices that it has gone, so
    /// that nobody works for nobody. One that reset the connection has. One
    /// that ended its side may still read, or may have closed: it gets what
    /// comes within a while.
    pub(crate) fn poll_client_gone(&mut self, cx: &mut Context<'_>) -> Poll<Halt> {
        if self.client_side == ClientSide::Open {
            match ready!(self.client.poll_gone(cx)) {
                Watch::Gone => return Poll::Ready(Halt::client_gone()),
                Watch::SaysNoMore => self.client_ended(),
                Watch::Hidden => return self.poll_behind_bytes(cx),
            }
        }
        self.timers.leave.poll(cx).map(|()| Halt::client_gone())
    }

    /// Looks at times whether the client has ended its side behind bytes that
    /// wait: while those are not read, nothing wakes us.
    #[cold]
    fn poll_behind_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Halt> {
        let leave = &self.timers.leave;
        if leave.is_due() {
            match self.client.peer_end() {
                PeerEnd::Gone => return Poll::Ready(Halt::client_gone()),
                PeerEnd::Ended => self.client_ended(),
                PeerEnd::Open => leave.set(Some(LOOK)),
            }
        } else if !leave.is_set() {
            leave.set(Some(LOOK));
        }
        self.timers.leave.poll(cx).map(|()| Halt::client_gone())
    }
}
