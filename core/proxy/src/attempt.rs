//! Choosing a host, getting a connection to it, and trying again elsewhere
//! where that is safe.

use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use sidegate_api::{Address, HeadState, LbMetadata, ReceiverPhase, ResetBy, ResponseFlags};
use sidegate_net::connect;
use sidegate_router::ApplyError;
use sidegate_stream::ClientConnection;
use sidegate_upstream::{Choice, Host, Outcome, TriedHosts};

use crate::forwarding;
use crate::halt::Halt;
use crate::hooks::Flow;
use crate::relay::{Attempt, Relayed};
use crate::stream::{After, Stream};
use crate::view::ClusterView;

/// Hosts that are tried when connecting fails, as in MOSN.
const MAX_HOSTS: usize = 3;

/// Counts one upstream connection for as long as it lives.
struct ConnectionCount(Arc<Host>);

impl ConnectionCount {
    fn new(host: Arc<Host>) -> Self {
        host.count(|m| {
            m.connection_total.inc();
            m.connection_active.inc();
        });
        ConnectionCount(host)
    }
}

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        self.0.count(|m| {
            m.connection_active.dec();
            m.connection_close.inc();
        });
    }
}

/// Why a host cannot be reached.
#[derive(Clone, Copy)]
enum Unreachable {
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

/// Whether a request has been changed as its route wants.
#[derive(PartialEq, Eq)]
enum RouteApplied {
    No,
    Yes,
}

impl Stream<'_> {
    /// Sends the request to a host and answers the client. `None`: a filter
    /// wants the route matched again.
    pub(crate) async fn attempts(&mut self, passes: u32) -> Result<Option<After>, Halt> {
        let Some(cluster) = self.target.as_ref().map(|target| target.cluster.clone()) else {
            // The header or variable that names the cluster is not there, or
            // names none.
            return Err(Halt::error(503, "no_cluster", ResponseFlags::NO_ROUTE, ResetBy::Nobody));
        };
        let cluster = &cluster;
        let mut tried = TriedHosts::new();
        let mut unreachable = Unreachable::Refused;
        let mut applied = RouteApplied::No;
        for _ in 0..passes.max(MAX_HOSTS as u32) {
            let Some(position) = self.pick(cluster, &tried) else {
                return Err(match tried.is_empty() {
                    true => Halt::upstream(502, "no_host", ResponseFlags::NO_HEALTHY_UPSTREAM),
                    false => unreachable.into(),
                });
            };
            let host = cluster.cluster.members()[position].host.clone();
            self.state.info.upstream_host = Some(host.text().clone());
            match self.request_phase(ReceiverPhase::AfterChooseHost).await? {
                Flow::Next => {}
                Flow::Rematch => return Ok(None),
                Flow::Rechoose => {
                    tried.insert(position);
                    continue;
                }
            }
            let connection = match self.connection(cluster, position, &host).await? {
                Ok(connection) => connection,
                Err(reason) => {
                    self.state.info.flags.insert(ResponseFlags::UPSTREAM_CONNECT);
                    unreachable = reason;
                    tried.insert(position);
                    if tried.len() >= MAX_HOSTS {
                        return Err(unreachable.into());
                    }
                    continue;
                }
            };
            self.prepare(cluster, position, &mut applied)?;
            return self.exchange(cluster, position, &host, connection).await.map(Some);
        }
        Err(Halt::error(500, "too_many_passes", ResponseFlags::FILTER_FAULT, ResetBy::Nobody))
    }

    /// Position of the next host to try.
    fn pick(&self, cluster: &ClusterView, tried: &TriedHosts) -> Option<usize> {
        let all = LbMetadata::default();
        let subset = self.target.as_ref().and_then(|target| target.subset.as_ref()).unwrap_or(&all);
        let choice = Choice { tried, hash: None, subset };
        cluster.balancer.borrow_mut().pick(&choice)
    }

    /// Puts the request into the form that the host gets: once by the route,
    /// for each host by its name.
    fn prepare(&mut self, cluster: &ClusterView, position: usize, applied: &mut RouteApplied) -> Result<(), Halt> {
        let listener = self.listener.clone();
        let Some(matched) = self.route.and_then(|(id, _)| listener.config.routes.matched(id)) else { return Ok(()) };
        let hostname = cluster.cluster.members()[position].hostname.as_deref();
        if *applied == RouteApplied::Yes {
            matched.rewrite_host(&mut self.state.request, hostname);
            return Ok(());
        }
        *applied = RouteApplied::Yes;
        forwarding::forward_client(self.state, listener.config.forwarding, self.scratch)
            .map_err(|_| Halt::error(431, "too_many_headers", ResponseFlags::TOO_LARGE, ResetBy::Downstream))?;
        if self.state.request.authority.is_empty() {
            // An HTTP/1.0 client may leave Host out; upstream we speak 1.1.
            let host = cluster.cluster.members()[position].host.text();
            self.state.request.authority.push_str(match host.address() {
                Address::Tcp(_) => host.as_str(),
                Address::Unix(_) => "localhost",
            });
        }
        matched.apply_request(self.state, hostname, self.scratch).map_err(|error| match error {
            ApplyError::DotSegment => {
                Halt::error(400, "dot_segment_after_rewrite", ResponseFlags::DOWNSTREAM_PROTOCOL, ResetBy::Downstream)
            }
            ApplyError::HeaderLimit(_) => {
                Halt::error(431, "too_many_headers", ResponseFlags::TOO_LARGE, ResetBy::Downstream)
            }
        })
    }

    /// A pooled or fresh connection, or why the host cannot be reached.
    async fn connection(
        &mut self,
        cluster: &ClusterView,
        position: usize,
        host: &Arc<Host>,
    ) -> Result<Result<ClientConnection, Unreachable>, Halt> {
        let pool = &cluster.pools[position];
        let pooled = poll_fn(|cx| Poll::Ready(pool.take(cx))).await;
        if let (Some(connection), _) = pooled {
            return Ok(Ok(connection));
        }
        self.connect(cluster, position, host).await
    }

    /// A fresh connection within the cluster's `connect_timeout`. Also ends
    /// when the client goes away meanwhile.
    async fn connect(
        &mut self,
        cluster: &ClusterView,
        position: usize,
        host: &Arc<Host>,
    ) -> Result<Result<ClientConnection, Unreachable>, Halt> {
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
        match socket? {
            Ok(socket) => {
                let guard = Box::new(ConnectionCount::new(host.clone()));
                Ok(Ok(ClientConnection::new(socket, self.worker.buffers.clone(), Some(guard))))
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

    /// One request and response on `connection`; once more on a fresh one if
    /// the pooled one turns out to have been closed and nothing is lost.
    async fn exchange(
        &mut self,
        cluster: &Rc<ClusterView>,
        position: usize,
        host: &Arc<Host>,
        mut connection: ClientConnection,
    ) -> Result<After, Halt> {
        loop {
            connection.requests += 1;
            let mut attempt = Attempt::new(connection, cluster.clone(), position);
            match self.relay(&mut attempt).await? {
                Relayed::Done(after) => {
                    if let Some(connection) = attempt.into_reusable() {
                        cluster.pools[position].give(connection);
                    }
                    return Ok(after);
                }
                Relayed::StaleConnection => {
                    drop(attempt);
                    self.state.request.state = HeadState::Open;
                    connection = self.connect(cluster, position, host).await??;
                }
            }
        }
    }
}
