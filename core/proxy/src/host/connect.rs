//! Fresh connections to hosts.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context;
use std::time::{Duration, Instant};

use sidegate_api::{Address, Protocol, ResetBy, ResponseFlags};
use sidegate_net::{Shortage, Socket};
use sidegate_stream::{HostPool, Upstream, h1};
use sidegate_tls::Failure;
use sidegate_upstream::{Overflow, Permit, Resource};

use super::asker::{pause, within};
use super::dial::{Progress, dial};
use super::{Asker, ConnectionCount, share};
use crate::outcome::{Failed, Stop, Unreachable};
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
fn exhausted(cluster: &ClusterView, position: usize, shortage: Shortage, error: &io::Error) {
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

/// A connection that waits in the pool, and that the host has not closed
/// meanwhile. Streams of HTTP/2 have another way: they share what there is.
#[inline]
pub(crate) fn pooled(
    cluster: &ClusterView,
    position: usize,
    spoken: Protocol,
    authority: &str,
    cx: &mut Context<'_>,
) -> Option<Upstream> {
    match spoken {
        Protocol::Http2 => None,
        _ if cluster.by_name => cluster.pool_under(position, authority)?.take(cx).0.map(Upstream::H1),
        Protocol::Http10 | Protocol::Http11 => cluster.pools[position].take(cx).0.map(Upstream::H1),
    }
}

/// Another way to the host at `position`, in the protocol that is spoken there.
pub(crate) async fn carrier<A: Asker>(
    asker: &mut A,
    cluster: &ClusterView,
    position: usize,
    spoken: Protocol,
) -> Result<Upstream, Failed> {
    match spoken {
        Protocol::Http2 => share::carrier(asker, cluster, position).await,
        Protocol::Http10 | Protocol::Http11 => connect(asker, cluster, position).await.map(Upstream::H1),
    }
}

/// A connection to the host at `position` that no other stream uses, or why
/// there is none. Waiting for one where the cluster has all it may have, and
/// connecting, may each take the cluster's `connect_timeout`. Also ends when
/// nobody waits for it any more.
async fn connect<A: Asker>(asker: &mut A, cluster: &ClusterView, position: usize) -> Result<Box<h1::Client>, Failed> {
    let _pending = cluster.cluster.breakers().pending().map_err(|over| overflow(cluster, over))?;
    let pool = pool(asker, cluster, position)?;
    let permit = match cluster.room(position, &pool, asker.peers()) {
        Ok(permit) => permit,
        Err(waiting) => match wait_for_room(asker, cluster, waiting).await? {
            Room::Permit(permit) => permit,
            Room::Connection(connection) => return Ok(connection),
        },
    };
    let (socket, count) = fresh(asker, cluster, position, &pool, Protocol::Http11, permit).await?;
    let mut connection = cluster.connection(socket, asker.buffers().clone(), Box::new(count));
    connection.name = pool.name().cloned();
    connection.id = asker.connection_id();
    Ok(connection)
}

/// Where connections to the host at `position` are kept that may carry the
/// request.
pub(super) fn pool<A: Asker>(asker: &A, cluster: &ClusterView, position: usize) -> Result<Rc<HostPool>, Stop> {
    match cluster.by_name {
        false => Ok(cluster.pools[position].clone()),
        true => cluster.pool_under(position, asker.authority()).ok_or_else(no_name),
    }
}

/// The client asks for what no certificate can be for.
#[cold]
fn no_name() -> Stop {
    Stop::error(400, "no_server_name", ResponseFlags::DOWNSTREAM_PROTOCOL, ResetBy::Downstream)
}

/// A fresh socket to the host at `position`, counted, or why there is none.
pub(super) async fn fresh<A: Asker>(
    asker: &mut A,
    cluster: &ClusterView,
    position: usize,
    pool: &HostPool,
    protocol: Protocol,
    permit: Permit,
) -> Result<(Socket, ConnectionCount), Failed> {
    let host = &cluster.cluster.members()[position].host;
    let patience = cluster.cluster.config().connect_timeout;
    let mut tries = 0;
    loop {
        let started = Instant::now();
        let progress = Progress::default();
        let mut dialling = pin!(dial(cluster, position, pool.name(), protocol, &progress));
        let socket = within(asker, patience, |cx| dialling.as_mut().poll(cx)).await?;
        let error = match socket.unwrap_or_else(|| Err(progress.timeout())) {
            Ok(socket) => return Ok((socket, ConnectionCount::new(&cluster.cluster, position, permit))),
            Err(error) => error,
        };
        let Some(shortage) = Shortage::of(&error, host.address()) else {
            host.count(|m| m.connection_con_fail.inc());
            let reason = Unreachable::from(error.kind());
            // A client that names whom nobody is must not bring a host into
            // disrepute.
            let clients_fault = pool.name().is_some() && Failure::within(&error).is_some();
            if let Some(report) = reason.told().filter(|_| !clients_fault) {
                cluster.cluster.report(position, report, started);
            }
            tell(cluster, host.text().as_str(), &error);
            return Err(reason.into());
        };
        if !relieve(asker, shortage, host.address(), &mut tries).await? {
            exhausted(cluster, position, shortage, &error);
            return Err(Unreachable::Exhausted(shortage).into());
        }
    }
}

/// Says why there is no connection. What a certificate lacks is for people to
/// mend.
#[cold]
fn tell(cluster: &ClusterView, host: &str, error: &io::Error) {
    let name = &*cluster.name;
    let Some(failure) = Failure::within(error) else {
        return tracing::debug!(cluster = name, host, %error, "cannot connect");
    };
    if let Some(unsaid) = cluster.lasting.complaints.admit(Instant::now()) {
        let reason = failure.reason.label();
        tracing::info!(cluster = name, host, reason, why = %failure, unsaid, "no TLS session");
    }
}

#[cold]
async fn wait_for_room<A: Asker>(asker: &mut A, cluster: &ClusterView, mut waiting: Waiting<'_>) -> Result<Room, Stop> {
    let patience = cluster.cluster.config().connect_timeout;
    let room = within(asker, patience, |cx| waiting.poll(cx)).await?;
    room.ok_or_else(|| overflow(cluster, Overflow(Resource::Connection)))
}

/// Gets some of what ran out back from connections that are kept for later:
/// own ones at once, those of other workers after a pause. Whether to try
/// again.
#[cold]
async fn relieve<A: Asker>(asker: &mut A, shortage: Shortage, peer: &Address, tries: &mut u32) -> Result<bool, Stop> {
    let Some(spares) = asker.spares() else { return Ok(false) };
    let own = match shortage {
        Shortage::Ports => spares.reset_idle(peer),
        Shortage::Descriptors | Shortage::Memory => spares.idle.drop_one(),
    };
    if own {
        return Ok(true);
    }
    if *tries == SHORTAGE_TRIES {
        return Ok(false);
    }
    match shortage {
        Shortage::Ports => asker.peers().ask_for_ports(),
        Shortage::Descriptors | Shortage::Memory => asker.peers().ask_for_descriptors(),
    }
    pause(asker, SHORTAGE_PAUSE * (1 << *tries)).await?;
    *tries += 1;
    Ok(true)
}
