//! Fresh connections to hosts.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use sidegate_api::{Address, ResetBy, ResponseFlags};
use sidegate_net::{Shortage, Socket, connect};
use sidegate_stream::{ClosedBy, OnClose, h1};
use sidegate_upstream::{Host, Outcome, Overflow, Permit, Resource};

use crate::halt::Halt;
use crate::room::{Room, Waiting};
use crate::stream::Stream;
use crate::view::ClusterView;

/// Times that a connect is tried again after others were asked for what ran
/// out, and the first pause for them to give it; each later one is twice as
/// long.
const SHORTAGE_TRIES: u32 = 3;
const SHORTAGE_PAUSE: Duration = Duration::from_millis(10);

/// Counts one upstream connection for as long as it lives.
#[derive(Debug)]
pub(crate) struct ConnectionCount {
    host: Arc<Host>,
    _permit: Permit,
}

impl ConnectionCount {
    pub(crate) fn new(host: Arc<Host>, permit: Permit) -> Self {
        host.count(|m| {
            m.connection_total.inc();
            m.connection_active.inc();
        });
        ConnectionCount { host, _permit: permit }
    }
}

impl OnClose for ConnectionCount {
    fn closed(&self, by: ClosedBy) {
        self.host.count(|m| {
            m.connection_active.dec();
            m.connection_close.inc();
            match by {
                ClosedBy::Us => m.connection_local_close.inc(),
                ClosedBy::Peer => m.connection_remote_close.inc(),
            }
        });
    }
}

/// Why there is no connection to a host.
#[derive(Clone, Copy)]
pub(crate) enum Unreachable {
    /// It refused, or there is no way to it.
    Refused,
    /// It did not answer within `connect_timeout`.
    TimedOut,
    /// It was not asked: we are out of something.
    Exhausted(Shortage),
}

impl From<Unreachable> for Halt {
    fn from(reason: Unreachable) -> Self {
        match reason {
            Unreachable::Refused => Halt::upstream(502, "upstream_connect_failed", ResponseFlags::UPSTREAM_CONNECT),
            Unreachable::TimedOut => Halt::upstream(504, "upstream_connect_timeout", ResponseFlags::UPSTREAM_CONNECT),
            Unreachable::Exhausted(shortage) => {
                let details = match shortage {
                    Shortage::Descriptors => "out_of_descriptors",
                    Shortage::Memory => "out_of_memory",
                    Shortage::Ports => "out_of_ports",
                };
                Halt::error(503, details, ResponseFlags::EXHAUSTED, ResetBy::Nobody)
            }
        }
    }
}

impl Unreachable {
    /// Whether another host may do better. Ports are counted per host; the
    /// rest is short for all.
    pub(crate) fn may_spare_others(self) -> bool {
        !matches!(self, Unreachable::Exhausted(Shortage::Descriptors | Shortage::Memory))
    }
}

impl ClusterView {
    /// Refuses what is too much.
    pub(crate) fn overflow(&self, overflow: Overflow) -> Halt {
        self.cluster.metrics().request_pending_overflow.inc();
        let details = match overflow.0 {
            Resource::Connection => "max_connections",
            Resource::Pending => "max_pending_requests",
            Resource::Request => "max_requests",
            Resource::Retry => "max_retries",
        };
        Halt::error(503, details, ResponseFlags::OVERFLOW, ResetBy::Nobody)
    }

    /// A connect is given up although the host was never asked. Nothing of it
    /// is counted against the host.
    #[cold]
    pub(crate) fn exhausted(&self, position: usize, shortage: Shortage, error: &io::Error) {
        /// A line per connect would itself be a burden then.
        const QUIET: Duration = Duration::from_secs(10);
        self.cluster.count_exhausted();
        let now = Instant::now();
        if self.lasting.complained.get().is_none_or(|last| now.duration_since(last) >= QUIET) {
            self.lasting.complained.set(Some(now));
            let (cluster, host) = (&*self.name, self.cluster.members()[position].host.text().as_str());
            tracing::warn!(cluster, host, %error, "cannot connect: out of {shortage}; the host is not to blame");
        }
    }
}

impl Stream<'_> {
    /// A connection to the host at `position` that no other stream uses, or
    /// why there is none. Waiting for one where the cluster has all it may
    /// have, and connecting, may each take the cluster's `connect_timeout`.
    /// Also ends when the client goes away meanwhile.
    pub(crate) async fn connect(
        &mut self,
        cluster: &ClusterView,
        position: usize,
    ) -> Result<Result<Box<h1::Client>, Unreachable>, Halt> {
        let _pending = cluster.cluster.breakers().pending().map_err(|overflow| cluster.overflow(overflow))?;
        let permit = match cluster.room(position, &self.worker.peers) {
            Ok(permit) => permit,
            Err(waiting) => match self.wait_for_room(cluster, waiting).await? {
                Room::Permit(permit) => permit,
                Room::Connection(connection) => return Ok(Ok(connection)),
            },
        };
        let host = &cluster.cluster.members()[position].host;
        let mut tries = 0;
        loop {
            let started = Instant::now();
            let error = match self.open(cluster, host.address()).await? {
                Ok(socket) => {
                    let guard = Box::new(ConnectionCount::new(host.clone(), permit));
                    let mut connection = cluster.connection(socket, self.worker.buffers.clone(), guard);
                    connection.id = Some(self.worker.next_connection_id());
                    return Ok(Ok(connection));
                }
                Err(error) => error,
            };
            let Some(shortage) = Shortage::of(&error, host.address()) else {
                host.count(|m| m.connection_con_fail.inc());
                cluster.cluster.report(position, Outcome::ConnectFailure, started);
                tracing::debug!(host = host.text().as_str(), %error, "cannot connect");
                return Ok(Err(match error.kind() {
                    ErrorKind::TimedOut => Unreachable::TimedOut,
                    _ => Unreachable::Refused,
                }));
            };
            if !self.relieve(shortage, host.address(), &mut tries).await? {
                cluster.exhausted(position, shortage, &error);
                return Ok(Err(Unreachable::Exhausted(shortage)));
            }
        }
    }

    #[cold]
    async fn wait_for_room(&mut self, cluster: &ClusterView, mut waiting: Waiting<'_>) -> Result<Room, Halt> {
        self.timers.up.set(Some(cluster.cluster.config().connect_timeout));
        let room = poll_fn(|cx| {
            if let Poll::Ready(room) = waiting.poll(cx) {
                return Poll::Ready(Ok(room));
            }
            if let Poll::Ready(gone) = self.poll_client_gone(cx) {
                return Poll::Ready(Err(gone));
            }
            self.timers.up.poll(cx).map(|()| Err(cluster.overflow(Overflow(Resource::Connection))))
        })
        .await;
        self.timers.up.set(None);
        room
    }

    async fn open(&mut self, cluster: &ClusterView, address: &Address) -> Result<io::Result<Socket>, Halt> {
        self.timers.up.set(Some(cluster.cluster.config().connect_timeout));
        let mut connecting = pin!(connect(address));
        let socket = poll_fn(|cx| {
            if let Poll::Ready(result) = connecting.as_mut().poll(cx) {
                return Poll::Ready(Ok(result));
            }
            if let Poll::Ready(gone) = self.poll_client_gone(cx) {
                return Poll::Ready(Err(gone));
            }
            self.timers.up.poll(cx).map(|()| Ok(Err(ErrorKind::TimedOut.into())))
        })
        .await;
        self.timers.up.set(None);
        socket
    }

    /// Gets some of what ran out back from connections that are kept for later:
    /// own ones at once, those of other workers after a pause. Whether to try
    /// again.
    #[cold]
    async fn relieve(&mut self, shortage: Shortage, peer: &Address, tries: &mut u32) -> Result<bool, Halt> {
        let peers = &self.worker.peers;
        let own = match shortage {
            Shortage::Ports => self.routes.clusters.reset_idle(peer),
            Shortage::Descriptors | Shortage::Memory => self.routes.clusters.idle.drop_one(),
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
        self.pause(SHORTAGE_PAUSE * (1 << *tries)).await?;
        *tries += 1;
        Ok(true)
    }
}
