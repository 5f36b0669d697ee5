//! Attempts at hosts, one after the other, as long as that is safe.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use sidegate_api::{Address, BodyDirection, HeadState, ReceiverPhase, ResetBy, ResponseFlags};
use sidegate_router::ApplyError;
use sidegate_stream::{End, Upstream};
use sidegate_upstream::{Member, TriedHosts};

use crate::connect::Unreachable;
use crate::forwarding;
use crate::halt::Halt;
use crate::hooks::Flow;
use crate::relay::{Attempt, Relayed};
use crate::stream::Stream;
use crate::view::ClusterView;

/// Hosts that are tried when connecting fails, as in MOSN.
const MAX_HOSTS: usize = 3;

/// Before a host is asked again that has just failed: so long, doubled with
/// each time, at most [`MAX_PAUSE`].
const PAUSE: Duration = Duration::from_millis(25);
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// Memory for a saved head that a connection keeps between requests.
const SAVED_BYTES: usize = 16 * 1024;

/// Whether a request has been changed as its route wants.
#[derive(PartialEq, Eq)]
enum RouteApplied {
    No,
    Yes,
}

/// Whether a connection that waits in the pool will do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Freshness {
    Any,
    /// One from the pool was just found closed.
    Fresh,
}

/// What came of an attempt at one host.
enum Tried {
    Done(End),
    Unreachable(Unreachable),
    /// It failed and may be repeated.
    Failed,
}

/// Hosts that a stream need not ask again.
#[derive(Default)]
struct Hosts {
    /// Not at all: no way to them, or a filter wants another.
    out: TriedHosts,
    /// And those that failed: only if there are no others.
    tried: TriedHosts,
    /// Connects that failed.
    unreachable: usize,
    /// Times that failed hosts were asked again.
    rounds: u32,
}

impl Hosts {
    fn leave_out(&mut self, position: usize) {
        self.out.insert(position);
        self.tried.insert(position);
    }
}

impl Stream<'_> {
    /// Sends the request to a host and answers the client. `None`: a filter
    /// wants the route matched again.
    pub(crate) async fn attempts(&mut self, passes: u32) -> Result<Option<End>, Halt> {
        let Some(cluster) = self.target.as_ref().map(|target| target.cluster.clone()) else {
            // The header or variable that names the cluster is not there, or
            // names none.
            return Err(Halt::error(503, "no_cluster", ResponseFlags::NO_ROUTE, ResetBy::Nobody));
        };
        let cluster = &cluster;
        let _permit = cluster.cluster.breakers().request().map_err(|overflow| cluster.overflow(overflow))?;
        self.begin_attempts();
        let mut hosts = Hosts::default();
        let mut applied = RouteApplied::No;
        let mut failure = None;
        let mut rechosen = 0;
        let edited_per_host = self.keep_head(cluster);
        loop {
            let picked = match self.pick(cluster, &hosts.tried) {
                None => self.failed_host(cluster, &mut hosts).await?,
                picked => picked,
            };
            let Some(position) = picked else {
                return Err(
                    failure.unwrap_or_else(|| Halt::upstream(502, "no_host", ResponseFlags::NO_HEALTHY_UPSTREAM))
                );
            };
            self.state.info.upstream_host = Some(cluster.cluster.members()[position].host.text().clone());
            let flow = match self.listener.plan.is_busy(ReceiverPhase::AfterChooseHost) {
                true => self.request_phase(ReceiverPhase::AfterChooseHost).await?,
                false => Flow::Next,
            };
            match flow {
                Flow::Next => {}
                Flow::Rematch => return Ok(None),
                Flow::Rechoose if rechosen >= passes => {
                    return Err(Halt::error(500, "too_many_passes", ResponseFlags::FILTER_FAULT, ResetBy::Nobody));
                }
                Flow::Rechoose => {
                    rechosen += 1;
                    hosts.leave_out(position);
                    continue;
                }
            }
            if !self.has_request_body() && self.edits(BodyDirection::Request) {
                self.show_empty_request().await?;
            }
            self.state.info.attempts += 1;
            match self.try_host(cluster, position, &mut applied).await? {
                Tried::Done(end) => return Ok(Some(end)),
                Tried::Unreachable(reason) if !reason.may_spare_others() => return Err(reason.into()),
                Tried::Unreachable(reason) => {
                    hosts.leave_out(position);
                    hosts.unreachable += 1;
                    if hosts.unreachable >= MAX_HOSTS {
                        return Err(reason.into());
                    }
                    failure = Some(reason.into());
                }
                Tried::Failed => hosts.tried.insert(position),
            }
            if edited_per_host {
                self.state.request.copy_from(self.saved);
                applied = RouteApplied::No;
            }
            self.state.request.state = HeadState::Open;
        }
    }

    /// Keeps the request's head if filters may change it for one host and
    /// another host may follow. Without such filters it costs nothing.
    fn keep_head(&mut self, cluster: &ClusterView) -> bool {
        let edited = !self.listener.plan.receive(ReceiverPhase::AfterChooseHost).is_empty();
        let keeps = edited && (cluster.cluster.members().len() > 1 || self.retry.left > 0);
        if keeps {
            self.saved.headers.shrink(SAVED_BYTES);
            self.saved.copy_from(&self.state.request);
        }
        keeps
    }

    /// A host that failed before, after a pause: there is no other.
    async fn failed_host(&mut self, cluster: &ClusterView, hosts: &mut Hosts) -> Result<Option<usize>, Halt> {
        if hosts.tried == hosts.out {
            return Ok(None);
        }
        let pause = PAUSE.saturating_mul(1 << hosts.rounds.min(8)).min(MAX_PAUSE);
        hosts.rounds += 1;
        hosts.tried = hosts.out.clone();
        self.pause(pause).await?;
        Ok(self.pick(cluster, &hosts.tried))
    }

    /// Ends early when the client goes away.
    pub(crate) async fn pause(&mut self, pause: Duration) -> Result<(), Halt> {
        self.timers.up.set(Some(pause));
        let result = poll_fn(|cx| match self.poll_client_gone(cx) {
            Poll::Ready(gone) => Poll::Ready(Err(gone)),
            Poll::Pending => self.timers.up.poll(cx).map(Ok),
        })
        .await;
        self.timers.up.set(None);
        self.retry.spend(pause);
        result
    }

    /// Puts the request into the form that the host gets: once by the route,
    /// for each host by its name.
    fn prepare(&mut self, cluster: &ClusterView, position: usize, applied: &mut RouteApplied) -> Result<(), Halt> {
        let member = &cluster.cluster.members()[position];
        if *applied == RouteApplied::No {
            *applied = RouteApplied::Yes;
            return self.apply_route(member);
        }
        if let Some(matched) = self.matched() {
            matched.rewrite_host(&mut self.state.request, member.hostname.as_deref());
        }
        Ok(())
    }

    /// Changes the request once as its route says; `member` may lend its name.
    pub(crate) fn apply_route(&mut self, member: &Member) -> Result<(), Halt> {
        let Some(matched) = self.matched() else { return Ok(()) };
        forwarding::forward_client(self.state, self.listener.config.forwarding, self.scratch)
            .map_err(|_| Halt::error(431, "too_many_headers", ResponseFlags::TOO_LARGE, ResetBy::Downstream))?;
        if self.state.request.authority.is_empty() {
            // An HTTP/1.0 client may leave Host out; upstream we speak 1.1.
            let host = member.host.text();
            self.state.request.authority.push_str(match host.address() {
                Address::Tcp(_) => host.as_str(),
                Address::Unix(_) => "localhost",
            });
        }
        matched.apply_request(self.state, member.hostname.as_deref(), self.scratch).map_err(|error| match error {
            ApplyError::DotSegment => {
                Halt::error(400, "dot_segment_after_rewrite", ResponseFlags::DOWNSTREAM_PROTOCOL, ResetBy::Downstream)
            }
            ApplyError::HeaderLimit(_) => {
                Halt::error(431, "too_many_headers", ResponseFlags::TOO_LARGE, ResetBy::Downstream)
            }
        })
    }

    /// One request and response at the host at `position`; once more on a
    /// fresh connection if the pooled one turns out to have been closed and
    /// nothing is lost.
    async fn try_host(
        &mut self,
        cluster: &Rc<ClusterView>,
        position: usize,
        applied: &mut RouteApplied,
    ) -> Result<Tried, Halt> {
        let mut freshness = Freshness::Any;
        loop {
            let pooled = match freshness {
                Freshness::Any => poll_fn(|cx| Poll::Ready(cluster.pools[position].take(cx))).await.0,
                Freshness::Fresh => None,
            };
            let connection = match pooled {
                Some(connection) => connection,
                None => match self.connect(cluster, position).await? {
                    Ok(connection) => connection,
                    Err(reason) => return Ok(Tried::Unreachable(reason)),
                },
            };
            if freshness == Freshness::Any {
                self.prepare(cluster, position, applied)?;
            }
            let mut attempt = Attempt::new(Upstream::H1(connection), cluster.clone(), position);
            self.retry.sent();
            let tried = match self.relay(&mut attempt).await? {
                Relayed::Done(end) => Tried::Done(end),
                Relayed::Failed => {
                    self.rewind(&attempt);
                    Tried::Failed
                }
                Relayed::StaleConnection => {
                    self.rewind(&attempt);
                    freshness = Freshness::Fresh;
                    continue;
                }
            };
            let now = attempt.end();
            if matches!(tried, Tried::Done(_)) {
                self.ended = Some(now);
            }
            if let Some(Upstream::H1(connection)) = attempt.into_carrier() {
                cluster.give_back(position, connection, now);
            }
            return Ok(tried);
        }
    }
}
