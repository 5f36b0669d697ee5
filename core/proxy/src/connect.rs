//! Fresh connections to hosts.

use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use sidegate_api::{ResetBy, ResponseFlags};
use sidegate_net::connect;
use sidegate_stream::{ClientConnection, ClosedBy, OnClose};
use sidegate_upstream::{Host, Outcome, Overflow, Permit, Resource};

use crate::halt::Halt;
use crate::stream::Stream;
use crate::view::ClusterView;

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

/// Why a host cannot be reached.
#[derive(Clone, Copy)]
pub(crate) enum Unreachable {
    /// It refused, or there is no way to it.
    Refused,
    /// It did not answer within `connect_timeout`.
    TimedOut,
}

impl From<Unreachable> for Halt {
    fn from(reason: Unreachable) -> Self {
        match reason {
            Unreachable::Refused => Halt::upstream(502, "upstream_connect_failed", ResponseFlags::UPSTREAM_CONNECT),
            Unreachable::TimedOut => Halt::upstream(504, "upstream_connect_timeout", ResponseFlags::UPSTREAM_CONNECT),
        }
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

    /// One connection more. At the limit an idle one of this worker to
    /// another host makes room.
    pub(crate) fn permit_connection(&self) -> Result<Permit, Overflow> {
        self.cluster.breakers().connection().or_else(|overflow| match self.pools.iter().any(|pool| pool.drop_one()) {
            true => self.cluster.breakers().connection(),
            false => Err(overflow),
        })
    }
}

impl Stream<'_> {
    /// A fresh connection to the host at `position`, or why it cannot be
    /// reached, within the cluster's `connect_timeout`. Also ends
    /// when the client goes away meanwhile.
    pub(crate) async fn connect(
        &mut self,
        cluster: &ClusterView,
        position: usize,
    ) -> Result<Result<Box<ClientConnection>, Unreachable>, Halt> {
        let permit = cluster.permit_connection().map_err(|overflow| cluster.overflow(overflow))?;
        let pending = cluster.cluster.breakers().pending().map_err(|overflow| cluster.overflow(overflow))?;
        let host = &cluster.cluster.members()[position].host;
        let started = Instant::now();
        self.timers.up.set(Some(cluster.cluster.config().connect_timeout));
        let mut connecting = pin!(connect(host.address()));
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
        drop(pending);
        match socket? {
            Ok(socket) => {
                let guard = Box::new(ConnectionCount::new(host.clone(), permit));
                let connection = ClientConnection::new(socket, self.worker.buffers.clone(), Some(guard));
                let mut connection = Box::new(connection);
                if let Some(limit) = cluster.cluster.config().conn_buffer_limit_bytes {
                    connection.wire.limit_reads(limit);
                }
                Ok(Ok(connection))
            }
            Err(error) => {
                host.count(|m| m.connection_con_fail.inc());
                cluster.cluster.report(position, Outcome::ConnectFailure, started);
                tracing::debug!(host = host.text().as_str(), %error, "cannot connect");
                Ok(Err(match error.kind() {
                    ErrorKind::TimedOut => Unreachable::TimedOut,
                    _ => Unreachable::Refused,
                }))
            }
        }
    }
}
