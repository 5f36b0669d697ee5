//! Downstream connections: which protocol one speaks, and its streams to its
//! end.

mod h1;
mod h2;
mod h2_stream;
mod refusal;
mod runners;
mod secure;
mod watch;

use std::rc::Rc;
use std::time::Duration;

use sidegate_api::{ConnectionInfo, PeerText, Protocol, Spoken};
use sidegate_net::{Accepted, ConnectionGuard, ListenerState, RunPhase, Traffic, WorkerContext};
use sidegate_stream::h1::Server;
use sidegate_telemetry::DownstreamStats;

pub(crate) type StreamRunners = runners::Runners<h2_stream::OneStream>;

use self::h1::Greeting;
use self::secure::Secured;
use crate::slots::ListenerSlot;
use crate::view::ListenerView;

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
#[derive(Debug)]
struct ConnectionCount(Rc<DownstreamStats>);

impl ConnectionCount {
    fn new(stats: Rc<DownstreamStats>) -> Self {
        stats.connection_opened();
        ConnectionCount(stats)
    }

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    Later,
}

/// What a connection is to its listener, whatever it speaks.
#[derive(Debug)]
struct Here {
    entrance: Rc<ListenerState>,
    info: Rc<ConnectionInfo>,
    counted: ConnectionCount,
    guard: ConnectionGuard,
}

/// Serves `accepted`, which came in by the listener in `slot`, to its end.
pub(crate) async fn serve(
    worker: Rc<WorkerContext>,
    runners: Rc<StreamRunners>,
    slot: Rc<ListenerSlot>,
    accepted: Accepted,
) {
    let Accepted { socket, listener: entrance, remote, local, guard } = accepted;
    let names = |listener: &ListenerView| {
        let config = &listener.config;
        (listener.stats.clone(), config.listener.clone(), config.downstream, config.tls.clone())
    };
    let Some((stats, listener, spoken, tls)) = slot.with(names) else { return };
    let counted = ConnectionCount::new(stats);
    let id = worker.next_connection_id();
    let (socket, spoken, tls) = match tls {
        None => (socket, spoken, None),
        // Boxed: it is over before anything else begins.
        Some(tls) => match Box::pin(secure::secure(&worker, &slot, &entrance, &tls, spoken, socket, &remote)).await {
            Some(Secured { socket, spoken, info }) => (socket, spoken, info),
            None => return,
        },
    };
    let here = |protocol| {
        let (remote, local) = (PeerText::new(remote), PeerText::new(local));
        let info = Rc::new(ConnectionInfo { id, listener, remote, local, protocol, tls });
        Here { entrance: entrance.clone(), info, counted, guard }
    };
    // Boxed: connections of HTTP/1 are not to be as large.
    if spoken == Spoken::Http2 {
        return Box::pin(h2::serve(worker, runners, slot, here(Protocol::Http2), socket, Vec::new())).await;
    }
    let mut down = Server::new(socket, worker.buffers.clone());
    let mut greeting = None;
    if spoken == Spoken::Auto {
        greeting = match h1::greeting(&worker, &slot, &entrance, &mut down).await {
            Some(Greeting::Http2) => {
                let (socket, early) = down.into_parts();
                return Box::pin(h2::serve(worker, runners, slot, here(Protocol::Http2), socket, early)).await;
            }
            Some(greeting) => Some(greeting),
            None => return,
        }
    }
    let here = here(Protocol::Http11);
    h1::serve(&worker, &slot, &here, &mut down, greeting).await;
    let Here { counted, guard, .. } = here;
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
