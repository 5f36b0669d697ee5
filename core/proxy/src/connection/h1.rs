//! A connection of HTTP/1: request after request, until either side ends.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use sidegate_api::{ResponseFlags, StreamState};
use sidegate_net::{Deadline, ListenerState, RunPhase, WorkerContext};
use sidegate_overload::{IdleTask, IdleVisit};
use sidegate_stream::{Downstream, End, RequestStart, h1};

use super::refusal::Refusal;
use super::{Here, LAST_CALL, LINGER, LINGER_BYTES, SHORT_LINGER, Turn, silence_allowed};
use crate::phases::run;
use crate::slots::{Current, ListenerSlot};
use crate::stream::{Arrival, Kit, Stream, Timers};
use crate::view::{ListenerView, RouteView};

/// How the client has begun.
pub(super) enum Greeting {
    /// With the preface of HTTP/2.
    Http2,
    /// In another way, and then.
    Http1(Instant),
    /// With a part of that preface, and no more came.
    Unfinished(Ended),
}

/// Why a head that was begun came to nothing.
pub(super) enum Ended {
    /// It was refused: answered and logged.
    Refused(h1::ServerError),
    /// It was not completed in time.
    TimedOut,
}

/// So long an idle connection keeps what memory its next request would use.
const REST: Duration = Duration::from_secs(1);

/// Serves `down`, which came in by the listener in `slot`, to its end. What it
/// works on is lent: a future holds what it is given twice. `greeting`: what
/// was seen of it already.
pub(super) async fn serve(
    worker: &Rc<WorkerContext>,
    slot: &Rc<ListenerSlot>,
    here: &Here,
    down: &mut h1::Server,
    mut greeting: Option<Greeting>,
) {
    let (entrance, info) = (&here.entrance, here.info.clone());
    let mut kit = Kit::new(worker);
    let scheme = info.scheme();
    kit.state.info.connection = Some(info);
    let mut turn = Turn::First;
    loop {
        kit.state.reset();
        // While it waits a connection holds nothing of a configuration: an old
        // one can go, and the next request gets the one of its own time.
        let wait = |listener: &ListenerView| {
            (listener.config.limits.max_header_bytes, silence_allowed(listener, entrance, turn))
        };
        let Some((max_head_bytes, silence)) = slot.with(wait) else { break };
        // First it comes to rest, and then its time is over.
        let mut rest = match silence {
            Some(silence) => silence.checked_sub(REST).map(Some),
            None => Some(None),
        };
        kit.timers.down.set(if rest.is_some() { Some(REST) } else { silence });
        let mut visit = worker.ledger.idle.enter(entrance.id());
        let begun = loop {
            match next_begins(worker, entrance, max_head_bytes, down, &kit.timers.down, turn, &mut visit).await {
                Silence::Ended(begun) => break begun,
                Silence::TimeIsOver => match rest.take() {
                    Some(rest) if entrance.phase() == RunPhase::Running => kit.timers.down.set(rest),
                    _ => break false,
                },
                Silence::GoesOn => {}
            }
            kit.slim();
            down.slim();
        };
        kit.timers.down.set(None);
        if !begun {
            break;
        }
        turn = Turn::Later;
        // Here, and not before: rest takes it away.
        kit.state.request.scheme = scheme;
        let Some(Current { listener, routes, filters }) = slot.current() else { break };
        kit.state.info.start = Some(Instant::now());
        let read = read_head(&listener, &routes, down, &mut kit.state, &kit.timers, greeting.take());
        let start = match read.await {
            Ok(start) => start,
            Err(ended) => {
                refuse(worker, &listener, down, &mut kit.state, &kit.timers, ended).await;
                break;
            }
        };
        kit.state.info.protocol = start.version;
        listener.stats.request_started();
        kit.chain.begin(filters);
        let arrival =
            Arrival { worker, entrance, listener: &listener, routes: &routes, client: Downstream::H1(down), start };
        let mut stream = Stream::new(arrival, &mut kit);
        let end = run::run(&mut stream).await;
        drop(stream);
        match end {
            End::Reusable if down.persists() => {}
            End::Reusable | End::Finish => {
                if !down.is_spent() {
                    kit.state.slim();
                    linger(worker, down, &kit.timers).await;
                }
                break;
            }
            End::Reset(_) => {
                down.end(end);
                break;
            }
        }
    }
}

/// Waits for a client to begin, and says how it has begun; `None` if it does
/// not.
pub(super) async fn greeting(
    worker: &WorkerContext,
    slot: &ListenerSlot,
    entrance: &ListenerState,
    down: &mut h1::Server,
) -> Option<Greeting> {
    let wait = |listener: &ListenerView| {
        let head = (listener.config.limits.max_header_bytes, listener.config.timeouts.request_header);
        (head, silence_allowed(listener, entrance, Turn::First))
    };
    let ((max_head_bytes, head_timeout), silence) = slot.with(wait)?;
    let timer = worker.deadlines.register();
    timer.set(silence);
    let mut visit = worker.ledger.idle.enter(entrance.id());
    loop {
        match next_begins(worker, entrance, max_head_bytes, down, &timer, Turn::First, &mut visit).await {
            Silence::Ended(true) => break,
            Silence::Ended(false) | Silence::TimeIsOver => return None,
            Silence::GoesOn => down.slim(),
        }
    }
    let begun = Instant::now();
    timer.set(head_timeout);
    let greeting = poll_fn(|cx| match down.poll_greeting(cx) {
        Poll::Pending => timer.poll(cx).map(|()| Greeting::Unfinished(Ended::TimedOut)),
        Poll::Ready(Ok(true)) => Poll::Ready(Greeting::Http2),
        Poll::Ready(Ok(false)) => Poll::Ready(Greeting::Http1(begun)),
        Poll::Ready(Err(error)) => Poll::Ready(Greeting::Unfinished(Ended::Refused(error))),
    });
    Some(greeting.await)
}

/// What came of waiting for a request.
enum Silence {
    /// One begins, or none does.
    Ended(bool),
    /// The deadline has come.
    TimeIsOver,
    /// It is waited for with as little memory as possible.
    GoesOn,
}

/// Waits for a request to begin.
async fn next_begins(
    worker: &WorkerContext,
    entrance: &ListenerState,
    max_head_bytes: usize,
    down: &mut h1::Server,
    timer: &Deadline,
    turn: Turn,
    visit: &mut IdleVisit,
) -> Silence {
    let mut known = entrance.phase();
    poll_fn(|cx| {
        if let Poll::Ready(begun) = down.poll_begin(cx, max_head_bytes) {
            return Poll::Ready(Silence::Ended(begun.is_ok()));
        }
        match worker.ledger.idle.heed(visit) {
            None => {}
            Some(IdleTask::Close) => return Poll::Ready(Silence::Ended(false)),
            Some(IdleTask::Slim) => return Poll::Ready(Silence::GoesOn),
        }
        if entrance.phase() != RunPhase::Running {
            // Between requests a drain closes at once.
            if turn == Turn::Later {
                return Poll::Ready(Silence::Ended(false));
            }
            if known == RunPhase::Running {
                timer.set(Some(LAST_CALL));
            }
            known = entrance.phase();
        }
        timer.poll(cx).map(|()| Silence::TimeIsOver)
    })
    .await
}

/// Reads the head that has begun, in the time that its greeting has left.
async fn read_head(
    listener: &ListenerView,
    routes: &RouteView,
    down: &mut h1::Server,
    state: &mut StreamState,
    timers: &Timers,
    greeting: Option<Greeting>,
) -> Result<RequestStart, Ended> {
    let (limits, case) = (&listener.request_limits(routes), listener.config.header_case);
    let mut timeout = listener.config.timeouts.request_header;
    match greeting {
        None | Some(Greeting::Http2) => {}
        Some(Greeting::Http1(begun)) => timeout = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed())),
        Some(Greeting::Unfinished(ended)) => return Err(ended),
    }
    timers.down.set(timeout);
    let head = poll_fn(|cx| {
        if let Poll::Ready(head) = down.poll_head(cx, limits, case, &mut state.request) {
            return Poll::Ready(head.map_err(Ended::Refused));
        }
        timers.down.poll(cx).map(|()| Err(Ended::TimedOut))
    })
    .await;
    timers.down.set(None);
    head
}

/// Answers a head that was refused and logs it.
async fn refuse(
    worker: &WorkerContext,
    listener: &ListenerView,
    down: &mut h1::Server,
    state: &mut StreamState,
    timers: &Timers,
    ended: Ended,
) {
    let refusal = match ended {
        Ended::TimedOut => {
            Refusal { status: 408, details: "request_header_timeout", flag: ResponseFlags::DOWNSTREAM_TIMEOUT }
        }
        Ended::Refused(h1::ServerError::Refused(error)) => error.into(),
        Ended::Refused(h1::ServerError::ClosedInHead | h1::ServerError::Closed) => {
            Refusal::gone("closed_in_request_head")
        }
        Ended::Refused(h1::ServerError::Io(_)) => Refusal::gone("reset_in_request_head"),
    };
    if refusal.answer(worker, listener, Downstream::H1(down), state, timers).await {
        linger(worker, down, timers).await;
    }
}

/// Ends our side and reads what the client still sends, for a while: closing
/// with unread bytes would reset the connection and could take the response
/// with it.
async fn linger(worker: &WorkerContext, down: &mut h1::Server, timers: &Timers) {
    timers.down.set(Some(if worker.ledger.is_tight() { SHORT_LINGER } else { LINGER }));
    let mut left = LINGER_BYTES;
    poll_fn(|cx| match down.poll_linger(cx, &mut left) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => timers.down.poll(cx),
    })
    .await;
    timers.down.set(None);
}
