//! Fresh connections to hosts.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use sidegate_api::{Address, ResetBy, ResponseFlags};
use sidegate_net::{Shortage, Socket, connect as dial};
use sidegate_stream::h1;
use sidegate_upstream::{Overflow, Permit, Resource};

use super::ConnectionCount;
use crate::outcome::{Outcome, Stop, Unreachable};
use crate::stream::{Stream, client};
use crate::view::{ClusterView, Room, Waiting};

/// Times that a connect is tried again after others were asked for what ran
/// out, and the first pause for them to give it; each later one is twice as
/// long.
const SHORTAGE_TRIES: u32 = 3;

const SHORTAGE_PAUSE: Duration = Duration::from_millis(10);

/// Refuses what is too much.
pub(crate) fn overflow(cluster: &ClusterView, overflow: Overflow) -> Stop {
    cluster.cluster.metrics().request_pending_overflow.inc();
    let details = match overflow.0 {
        Resource::Connection => "max_connections",
        Resource::Pending => "max_pending_requests",
        Resource::Request => "max_requests",
        Resource::Retry => "max_retries",
    };
    Stop::error(503, details, ResponseFlags::OVERFLOW, ResetBy::Nobody)
}

/// A connect is given up although the host was never asked. Nothing of it
/// is counted against the host.
#[cold]
pub(crate) fn exhausted(cluster: &ClusterView, position: usize, shortage: Shortage, error: &io::Error) {
    /// A line per connect would itself be a burden then.
    const QUIET: Duration = Duration::from_secs(10);
    cluster.cluster.count_exhausted();
    let now = Instant::now();
    if cluster.lasting.complained.get().is_none_or(|last| now.duration_since(last) >= QUIET) {
        cluster.lasting.complained.set(Some(now));
        let (name, host) = (&*cluster.name, cluster.cluster.members()[position].host.text().as_str());
        tracing::warn!(cluster = name, host, %error, "cannot connect: out of {shortage}; the host is not to blame");
    }
}

/// A connection to the host at `position` that no other stream uses, or
/// why there is none. Waiting for one where the cluster has all it may
/// have, and connecting, may each take the cluster's `connect_timeout`.
/// Also ends when the client goes away meanwhile.
pub(crate) async fn connect(
    s: &mut Stream<'_>,
    cluster: &ClusterView,
    position: usize,
) -> Result<Box<h1::Client>, Outcome> {
    let _pending = cluster.cluster.breakers().pending().map_err(|over| overflow(cluster, over))?;
    let permit = match cluster.room(position, &s.worker.peers) {
        Ok(permit) => permit,
        Err(waiting) => match wait_for_room(s, cluster, waiting).await? {
            Room::Permit(permit) => permit,
            Room::Connection(connection) => return Ok(connection),
        },
    };
    let (socket, count) = fresh(s, cluster, position, permit).await?;
    let mut connection = cluster.connection(socket, s.worker.buffers.clone(), Box::new(count));
    connection.id = Some(s.worker.next_connection_id());
    Ok(connection)
}

/// A fresh socket to the host at `position`, counted, or why there is none.
pub(super) async fn fresh(
    s: &mut Stream<'_>,
    cluster: &ClusterView,
    position: usize,
    permit: Permit,
) -> Result<(Socket, ConnectionCount), Outcome> {
    let host = &cluster.cluster.members()[position].host;
    let mut tries = 0;
    loop {
        let started = Instant::now();
        let error = match open(s, cluster, host.address()).await? {
            Ok(socket) => return Ok((socket, ConnectionCount::new(&cluster.cluster, position, permit))),
            Err(error) => error,
        };
        let Some(shortage) = Shortage::of(&error, host.address()) else {
            host.count(|m| m.connection_con_fail.inc());
            let reason = Unreachable::from(error.kind());
            if let Some(report) = reason.told() {
                cluster.cluster.report(position, report, started);
            }
            tracing::debug!(host = host.text().as_str(), %error, "cannot connect");
            return Err(reason.into());
        };
        if !relieve(s, shortage, host.address(), &mut tries).await? {
            exhausted(cluster, position, shortage, &error);
            return Err(Unreachable::Exhausted(shortage).into());
        }
    }
}

#[cold]
async fn wait_for_room(s: &mut Stream<'_>, cluster: &ClusterView, mut waiting: Waiting<'_>) -> Result<Room, Stop> {
    s.timers.up.set(Some(cluster.cluster.config().connect_timeout));
    let room = poll_fn(|cx| {
        if let Poll::Ready(room) = waiting.poll(cx) {
            return Poll::Ready(Ok(room));
        }
        if let Poll::Ready(gone) = client::poll_gone(s, cx) {
            return Poll::Ready(Err(gone));
        }
        s.timers.up.poll(cx).map(|()| Err(overflow(cluster, Overflow(Resource::Connection))))
    })
    .await;
    s.timers.up.set(None);
    room
}

async fn open(s: &mut Stream<'_>, cluster: &ClusterView, address: &Address) -> Result<io::Result<Socket>, Stop> {
    s.timers.up.set(Some(cluster.cluster.config().connect_timeout));
    let mut connecting = pin!(dial(address));
    let socket = poll_fn(|cx| {
        if let Poll::Ready(result) = connecting.as_mut().poll(cx) {
            return Poll::Ready(Ok(result));
        }
        if let Poll::Ready(gone) = client::poll_gone(s, cx) {
            return Poll::Ready(Err(gone));
        }
        s.timers.up.poll(cx).map(|()| Ok(Err(ErrorKind::TimedOut.into())))
    })
    .await;
    s.timers.up.set(None);
    socket
}

/// Gets some of what ran out back from connections that are kept for later:
/// own ones at once, those of other workers after a pause. Whether to try
/// again.
#[cold]
async fn relieve(s: &mut Stream<'_>, shortage: Shortage, peer: &Address, tries: &mut u32) -> Result<bool, Stop> {
    let peers = &s.worker.peers;
    let own = match shortage {
        Shortage::Ports => s.routes.clusters.reset_idle(peer),
        Shortage::Descriptors | Shortage::Memory => s.routes.clusters.idle.drop_one(),
    };
    if own {
        return Ok(true);
    }
    if *tries == SHORTAGE_TRIES {
        return Ok(false);
    }
    match shortage {
        Shortage::Ports => peers.ask_for_ports(),
        Shortage::Descriptors | Shortage::Memory => peers.ask_for_descriptors(),
    }
    pause(s, SHORTAGE_PAUSE * (1 << *tries)).await?;
    *tries += 1;
    Ok(true)
}

/// Ends early when the client goes away.
pub(crate) async fn pause(s: &mut Stream<'_>, pause: Duration) -> Result<(), Stop> {
    s.timers.up.set(Some(pause));
    let result = poll_fn(|cx| match client::poll_gone(s, cx) {
        Poll::Ready(gone) => Poll::Ready(Err(gone)),
        Poll::Pending => s.timers.up.poll(cx).map(Ok),
    })
    .await;
    s.timers.up.set(None);
    s.retry.spend(pause);
    result
}
