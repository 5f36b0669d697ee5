//! Both directions of a stream, moved by one poll function until a goal is
//! reached.
//!
//! ```text
//!  client ──▶ request flow  ──▶ upstream
//!  client ◀── response flow ◀── upstream
//! ```
//!
//! Body bytes go from one carrier's memory to the other's socket; only where a
//! filter wants them do they make a stop in the stream's buffer, and only where
//! one wants all of them do they stay there.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use sidegate_api::{BodyDirection, EndOfStream};
use sidegate_stream::{Announced, Data, Discard, FlowFault, Left, Receiver, ResponseStart, Step, Upstream};

use super::bounds::{self, Armed, Client, Coming};
use super::{Attempt, parts, tunnel};
use crate::mirror::fan;
use crate::outcome::{Failed, Outcome, Sent, Stop};
use crate::stream::{Collecting, RequestWay, ResponseWay, SPARE_BYTES, Stream, Watched, client, held};

/// How far things are to be moved.
pub(crate) enum Goal<'g> {
    /// The whole request is collected, for the filter at this place among
    /// those that see its body. No host was asked yet.
    RequestBody(usize),
    /// The response's head is there. The request goes on meanwhile.
    Head(&'g mut Attempt),
    /// The whole response is collected, for the filter at this place. The
    /// request goes on meanwhile.
    ResponseBody(&'g mut Attempt, Announced, usize),
    /// The client has the response.
    Everything(&'g mut Attempt),
    /// Both sides of a tunnel have ended.
    Tunnel(&'g mut Attempt),
}

/// That it is so.
#[derive(Debug)]
pub(crate) enum Reached {
    /// The body that was to be collected is in the stream's buffer.
    Body,
    Head(ResponseStart),
    /// The upstream agrees to speak another protocol from here on.
    Switched,
    Everything,
}

/// What the loop needs filters for, or that it is done.
#[derive(Debug)]
pub(super) enum Event {
    Chunk(BodyDirection, usize),
    End(BodyDirection),
    Reached(Reached),
    /// Filters of a tunnel are to be asked whether they may still wait.
    Tenure,
}

impl Goal<'_> {
    /// Where the body of `direction` is collected, if it is.
    pub(super) fn place(&self, direction: BodyDirection) -> Option<usize> {
        match (self, direction) {
            (Goal::RequestBody(place), BodyDirection::Request)
            | (Goal::ResponseBody(_, _, place), BodyDirection::Response) => Some(*place),
            _ => None,
        }
    }

    /// Bytes of the response that are lent.
    pub(super) fn lent(&self) -> Data<'_> {
        match self {
            Goal::RequestBody(_) => Data::Slice(&[]),
            Goal::Head(attempt)
            | Goal::ResponseBody(attempt, ..)
            | Goal::Everything(attempt)
            | Goal::Tunnel(attempt) => attempt.upstream.data(),
        }
    }

    /// They were taken.
    pub(super) fn consume(&mut self, s: &mut Stream<'_>, direction: BodyDirection, count: usize) {
        match (direction, self) {
            (BodyDirection::Request, _) => s.client.consume(count),
            (BodyDirection::Response, Goal::RequestBody(_)) => {}
            (
                BodyDirection::Response,
                Goal::Head(attempt)
                | Goal::ResponseBody(attempt, ..)
                | Goal::Everything(attempt)
                | Goal::Tunnel(attempt),
            ) => attempt.upstream.consume(count),
        }
    }
}

/// Moves both directions until `goal` is reached; filters have their say on the
/// way.
pub(crate) async fn relay(s: &mut Stream<'_>, goal: &mut Goal<'_>) -> Result<Reached, Failed> {
    // Time that filters took is nobody else's: it begins anew after each.
    let mut armed = Armed::default();
    loop {
        match poll_fn(|cx| poll(s, cx, goal, &mut armed)).await? {
            Event::Reached(reached) => return Ok(reached),
            Event::Tenure => tunnel::let_filters_go(s),
            Event::Chunk(direction, count) => parts::chunk(s, goal, direction, count).await?,
            Event::End(direction) => {
                parts::end(s, goal, direction).await?;
                if goal.place(direction).is_some() {
                    return Ok(Reached::Body);
                }
            }
        }
        armed = Armed::default();
    }
}

fn poll(
    s: &mut Stream<'_>,
    cx: &mut Context<'_>,
    goal: &mut Goal<'_>,
    armed: &mut Armed,
) -> Poll<Result<Event, Failed>> {
    let coming = match goal {
        Goal::Head(attempt) => {
            if s.request.flow.goes_on()
                && let Poll::Ready(event) = poll_request(s, cx, &mut attempt.upstream, Collecting::No)
            {
                return Poll::Ready(event);
            }
            let mut coming = Coming::Head;
            if let Poll::Ready(head) = poll_head(s, cx, &mut attempt.upstream, &mut coming) {
                return Poll::Ready(head.map(Event::Reached));
            }
            coming
        }
        Goal::Everything(attempt) => {
            if s.request.flow.goes_on()
                && let Poll::Ready(event) = poll_request(s, cx, &mut attempt.upstream, Collecting::No)
            {
                return Poll::Ready(event);
            }
            if let Poll::Ready(event) = poll_response(s, cx, &mut attempt.upstream) {
                return Poll::Ready(event);
            }
            Coming::Body(s.response.flow.left())
        }
        Goal::ResponseBody(attempt, ..) => {
            if s.request.flow.goes_on()
                && let Poll::Ready(event) = poll_request(s, cx, &mut attempt.upstream, Collecting::No)
            {
                return Poll::Ready(event);
            }
            if let Poll::Ready(event) = poll_collected_response(s, cx, &mut attempt.upstream) {
                return Poll::Ready(event);
            }
            Coming::Body(Left::Read)
        }
        Goal::Tunnel(attempt) => return tunnel::poll(s, cx, &mut attempt.upstream),
        Goal::RequestBody(_) => {
            if let Poll::Ready(event) = poll_request(s, cx, &mut Discard, Collecting::Yes) {
                return Poll::Ready(event);
            }
            // Who waits for the rest of a body needs no buffer for it.
            s.client.release();
            Coming::Nothing
        }
    };
    poll_waiting(s, cx, coming, armed)
}

/// The request's way on, if it goes on.
fn poll_request<R: Receiver>(
    s: &mut Stream<'_>,
    cx: &mut Context<'_>,
    to: &mut R,
    collected: Collecting,
) -> Poll<Result<Event, Failed>> {
    const LAST: Left = Left::Drain(EndOfStream::End);
    let listener = s.listener;
    let drains = s.request.flow.left() == LAST;
    let watch = Watched { chain: s.chain, hooks: &listener.hooks, collected };
    let mut way = RequestWay {
        state: s.state,
        replay: &mut s.request.replay,
        handed_over: &mut s.request.handed_over,
        watch,
        log_needs: &listener.log_needs,
    };
    let step = s.request.flow.poll(cx, &mut s.client, to, &mut way);
    if drains && s.request.flow.left() != LAST {
        // The response may take its time.
        s.state.request_body.shrink(SPARE_BYTES);
        held::recount(s, Some(cx.waker()));
    }
    match step {
        Poll::Ready(Ok(Step::Chunk(count))) => Poll::Ready(Ok(Event::Chunk(BodyDirection::Request, count))),
        Poll::Ready(Ok(Step::End)) => Poll::Ready(Ok(Event::End(BodyDirection::Request))),
        Poll::Ready(Ok(Step::Sent)) => {
            if s.request.copies_to.is_some() {
                fan::send_copies(s);
            }
            Poll::Pending
        }
        Poll::Ready(Err(FlowFault::Sender(fault))) => Poll::Ready(Err(Stop::request_body(fault).into())),
        // The host may have answered before it closed: its response decides.
        Poll::Ready(Err(FlowFault::Receiver(_))) | Poll::Pending => Poll::Pending,
    }
}

/// The response's way to the client.
fn poll_response(s: &mut Stream<'_>, cx: &mut Context<'_>, upstream: &mut Upstream) -> Poll<Result<Event, Failed>> {
    let listener = s.listener;
    let watch = Watched { chain: s.chain, hooks: &listener.hooks, collected: Collecting::No };
    let mut way = ResponseWay { state: s.state, watch };
    let step = ready!(s.response.flow.poll(cx, upstream, &mut s.client, &mut way));
    Poll::Ready(match step {
        Ok(Step::Sent) => Ok(Event::Reached(Reached::Everything)),
        Ok(Step::Chunk(count)) => Ok(Event::Chunk(BodyDirection::Response, count)),
        Ok(Step::End) => Ok(Event::End(BodyDirection::Response)),
        Err(FlowFault::Sender(fault)) => Err(Outcome::Broken(fault).into()),
        Err(FlowFault::Receiver(_)) => Err(Stop::client_gone().into()),
    })
}

/// The response's way into the stream's buffer.
fn poll_collected_response(
    s: &mut Stream<'_>,
    cx: &mut Context<'_>,
    upstream: &mut Upstream,
) -> Poll<Result<Event, Failed>> {
    // A `100 Continue` may still be on its way.
    if let Poll::Ready(Err(_)) = s.client.poll_flush(cx) {
        return Poll::Ready(Err(Stop::client_gone().into()));
    }
    let listener = s.listener;
    let watch = Watched { chain: s.chain, hooks: &listener.hooks, collected: Collecting::Yes };
    let mut way = ResponseWay { state: s.state, watch };
    Poll::Ready(match ready!(s.response.flow.poll(cx, upstream, &mut Discard, &mut way)) {
        Ok(Step::Chunk(count)) => Ok(Event::Chunk(BodyDirection::Response, count)),
        Ok(Step::End | Step::Sent) => Ok(Event::End(BodyDirection::Response)),
        Err(FlowFault::Sender(fault)) => Err(Outcome::Broken(fault).into()),
        Err(FlowFault::Receiver(_)) => Err(Stop::client_gone().into()),
    })
}

/// Informational responses go to the client as they come, each before the next
/// is read: a client that takes none stops the upstream. The final head comes
/// out.
fn poll_head(
    s: &mut Stream<'_>,
    cx: &mut Context<'_>,
    upstream: &mut Upstream,
    coming: &mut Coming,
) -> Poll<Result<Reached, Failed>> {
    loop {
        if !s.client.is_flushed() {
            *coming = Coming::Interim;
            if ready!(s.client.poll_flush(cx)).is_err() {
                return Poll::Ready(Err(Stop::client_gone().into()));
            }
            *coming = Coming::Head;
        }
        let limits = &s.listener.response_limits;
        let (request, response) = (&s.state.request, &mut s.state.response);
        let start = match ready!(upstream.poll_head(cx, limits, &request.method, response)) {
            Ok(start) => start,
            Err(error) => {
                s.state.response.status = 0;
                s.state.response.headers.clear();
                let sent = what_was_sent(s);
                return Poll::Ready(Err(Outcome::no_response(error, upstream, &s.state.request.method, sent).into()));
            }
        };
        match s.state.response.status {
            200.. => return Poll::Ready(Ok(Reached::Head(start))),
            101 => return Poll::Ready(Ok(Reached::Switched)),
            _ => {}
        }
        s.client.interim(&s.state.response);
        s.state.response.status = 0;
    }
}

/// What there is of the request for another attempt at once.
fn what_was_sent(s: &Stream<'_>) -> Sent {
    if s.request.is_all_there() && s.retry.may_repeat() { Sent::Kept } else { Sent::Lost }
}

/// While neither direction moves: deadlines, and whether the client is still
/// there.
fn poll_waiting(
    s: &mut Stream<'_>,
    cx: &mut Context<'_>,
    coming: Coming,
    armed: &mut Armed,
) -> Poll<Result<Event, Failed>> {
    bounds::arm(s, coming, armed);
    // A body that is read shows the client's end by itself.
    if !s.request.flow.is_reading()
        && let Poll::Ready(gone) = client::poll_gone(s, cx)
    {
        return Poll::Ready(Err(gone.into()));
    }
    if s.timers.down.poll(cx).is_ready() {
        let stop = match bounds::of_client(coming) {
            Client::Sends => s.pace.too_slow(),
            Client::Takes => Stop::client_takes_nothing(),
        };
        return Poll::Ready(Err(stop.into()));
    }
    // The upstream is not to blame while nobody listens to it.
    if !matches!(coming, Coming::Nothing | Coming::Interim) && s.timers.up.poll(cx).is_ready() {
        return Poll::Ready(Err(Outcome::TimedOut(armed.bound).into()));
    }
    Poll::Pending
}
