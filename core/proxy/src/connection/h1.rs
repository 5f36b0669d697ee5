//! One downstream connection: request after request, until either side ends.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use sidegate_api::{ConnectionInfo, HeadState, PeerText, Protocol, ResetBy, ResponseFlags, StreamState};
use sidegate_net::{Accepted, ListenerState, RunPhase, Traffic, WorkerContext};
use sidegate_overload::{IdleTask, IdleVisit};
use sidegate_stream::{Announced, Data, Downstream, End, Last, RequestStart, h1};
use sidegate_telemetry::DownstreamStats;

use crate::phases::run;
use crate::slots::{Current, ListenerSlot};
use crate::stream::{Arrival, Kit, Stream, Timers, complete};
use crate::view::{ListenerView, RouteView};

/// How long a closing connection is read so that the client can take the
/// response before it sees a reset.
const LINGER: Duration = Duration::from_secs(2);
/// The same while memory is short.
const SHORT_LINGER: Duration = Duration::from_millis(200);
/// Bytes read and dropped in that time.
const LINGER_BYTES: usize = 4 << 20;
/// During a drain a connection that was just accepted may still bring its
/// first request for so long.
const LAST_CALL: Duration = Duration::from_secs(1);

/// Counts a connection of a listener for as long as it lives.
struct ConnectionCount(Rc<DownstreamStats>);

impl ConnectionCount {
    fn new(stats: Rc<DownstreamStats>) -> Self {
        stats.connection_opened();
        ConnectionCount(stats)
    }
}

impl ConnectionCount {
    fn traffic(&self, traffic: Traffic) {
        self.0.bytes_read(traffic.read);
        self.0.bytes_written(traffic.written);
    }
}

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

/// Which request of its connection is awaited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    Later,
}

/// Why a head that was begun came to nothing.
enum Ended {
    /// It was refused: answered and logged.
    Refused(h1::ServerError),
    /// It was not completed in time.
    TimedOut,
}

/// Serves `accepted`, which came in by the listener in `slot`, to its end.
pub(crate) async fn serve(worker: Rc<WorkerContext>, slot: Rc<ListenerSlot>, accepted: Accepted) {
    let Accepted { socket, listener: entrance, remote, local, guard } = accepted;
    let names = |listener: &ListenerView| (listener.stats.clone(), listener.config.listener.clone());
    let Some((stats, listener)) = slot.with(names) else { return };
    let counted = ConnectionCount::new(stats);
    let mut kit = Kit::new(&worker);
    kit.state.info.connection = Some(Rc::new(ConnectionInfo {
        id: worker.next_connection_id(),
        listener,
        remote: PeerText::new(remote),
        local: PeerText::new(local),
        protocol: Protocol::Http11,
    }));
    let mut down = h1::Server::new(socket, worker.buffers.clone());
    let mut turn = Turn::First;
    loop {
        kit.state.reset();
        // While it waits a connection holds nothing of a configuration: an old
        // one can go, and the next request gets the one of its own time.
        let wait = |listener: &ListenerView| {
            (listener.config.limits.max_header_bytes, silence_allowed(listener, &entrance, turn))
        };
        let Some((max_head_bytes, silence)) = slot.with(wait) else { break };
        kit.timers.down.set(silence);
        let mut visit = worker.ledger.idle.enter(entrance.id());
        let begun = loop {
            match next_begins(&worker, &entrance, max_head_bytes, &mut down, &kit.timers, turn, &mut visit).await {
                Silence::Ended(begun) => break begun,
                Silence::GoesOn => {
                    kit.slim();
                    down.slim();
                }
            }
        };
        kit.timers.down.set(None);
        if !begun {
            break;
        }
        turn = Turn::Later;
        let Some(Current { listener, routes, filters }) = slot.current() else { break };
        kit.state.info.start = Some(Instant::now());
        let start = match read_head(&listener, &routes, &mut down, &mut kit.state, &kit.timers).await {
            Ok(start) => start,
            Err(ended) => {
                refuse(&worker, &listener, &mut down, &mut kit.state, &kit.timers, ended).await;
                break;
            }
        };
        kit.state.info.protocol = start.version;
        listener.stats.request_started();
        kit.chain.begin(filters);
        let arrival = Arrival {
            worker: &worker,
            entrance: &entrance,
            listener: &listener,
            routes: &routes,
            client: Downstream::H1(&mut down),
            start,
        };
        let mut stream = Stream::new(arrival, &mut kit);
        let end = run::run(&mut stream).await;
        drop(stream);
        match end {
            End::Reusable if down.persists() => {}
            End::Reusable | End::Finish => {
                if !down.is_spent() {
                    kit.state.slim();
                    linger(&worker, &mut down, &kit.timers).await;
                }
                break;
            }
            End::Reset(_) => {
                down.end(end);
                break;
            }
        }
    }
    // What came after the last request, or before there was one.
    counted.traffic(down.new_traffic());
    drop(down);
    drop(counted);
    drop(guard);
}

/// How long a connection may wait for a request to begin.
fn silence_allowed(listener: &ListenerView, entrance: &ListenerState, turn: Turn) -> Option<Duration> {
    let idle = listener.config.idle_timeout;
    match (turn, entrance.phase()) {
        // A connection that says nothing at all is bounded like a head.
        (Turn::First, RunPhase::Running) => {
            let head = listener.config.timeouts.request_header;
            head.into_iter().chain(idle).min()
        }
        (Turn::First, _) => Some(LAST_CALL),
        (Turn::Later, _) => idle,
    }
}

/// What came of waiting for a request.
enum Silence {
    /// One begins, or none does.
    Ended(bool),
    /// It is waited for with as little memory as possible.
    GoesOn,
}

/// Waits for a request to begin.
async fn next_begins(
    worker: &WorkerContext,
    entrance: &ListenerState,
    max_head_bytes: usize,
    down: &mut h1::Server,
    timers: &Timers,
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
                timers.down.set(Some(LAST_CALL));
            }
            known = entrance.phase();
        }
        timers.down.poll(cx).map(|()| Silence::Ended(false))
    })
    .await
}

/// Reads the head that has begun.
async fn read_head(
    listener: &ListenerView,
    routes: &RouteView,
    down: &mut h1::Server,
    state: &mut StreamState,
    timers: &Timers,
) -> Result<RequestStart, Ended> {
    let (limits, case) = (&listener.request_limits(routes), listener.config.header_case);
    timers.down.set(listener.config.timeouts.request_header);
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
    let (status, details, flag) = match ended {
        Ended::TimedOut => (408, "request_header_timeout", ResponseFlags::DOWNSTREAM_TIMEOUT),
        Ended::Refused(h1::ServerError::Refused(error)) if matches!(error.status, 413 | 414 | 431) => {
            (error.status, error.details, ResponseFlags::TOO_LARGE)
        }
        Ended::Refused(h1::ServerError::Refused(error)) => {
            (error.status, error.details, ResponseFlags::DOWNSTREAM_PROTOCOL)
        }
        Ended::Refused(h1::ServerError::ClosedInHead | h1::ServerError::Closed) => {
            (0, "closed_in_request_head", ResponseFlags::DOWNSTREAM_CLOSED)
        }
        Ended::Refused(h1::ServerError::Io(_)) => (0, "reset_in_request_head", ResponseFlags::DOWNSTREAM_CLOSED),
    };
    listener.stats.request_started();
    state.info.flags.insert(flag);
    state.info.details = details;
    if status != 0 {
        let body = format!("{details}\n");
        state.response.status = status;
        state.response.state = HeadState::Open;
        state.response.headers.clear();
        // A fresh map has room for one short field.
        let _ = state.response.headers.add(b"content-type", b"text/plain; charset=utf-8");
        let mut client = Downstream::H1(down);
        client.start(worker, &state.response, Announced::Length(body.len() as u64), Last::Yes);
        timers.down.set(listener.config.timeouts.response_write_idle);
        let mut left = body.as_bytes();
        let sent = poll_fn(|cx| {
            while !left.is_empty() {
                match client.poll_send(cx, Data::Slice(left)) {
                    Poll::Ready(Ok(count)) => left = &left[count..],
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending => return timers.down.poll(cx).map(|()| false),
                }
            }
            match client.poll_flush(cx) {
                Poll::Ready(result) => Poll::Ready(result.is_ok()),
                Poll::Pending => timers.down.poll(cx).map(|()| false),
            }
        })
        .await;
        timers.down.set(None);
        state.info.bytes_sent = (body.len() - left.len()) as u64;
        complete::refused(listener, state, status, ResetBy::Nobody, down.new_traffic());
        if sent {
            linger(worker, down, timers).await;
        }
        return;
    }
    complete::refused(listener, state, 0, ResetBy::Downstream, down.new_traffic());
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
