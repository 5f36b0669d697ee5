//! Hosts, one after the other, as long as that is safe.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use sidegate_api::{BodyDirection, HeadState, Protocol, ReceiverPhase, ResetBy, ResponseFlags};
use sidegate_stream::{End, Replay, Upgrade, Upstream};
use sidegate_upstream::TriedHosts;

use crate::hooks::Next;
use crate::host::{Forward, choose, connect, pause};
use crate::outcome::{Again, Failed, Stop};
use crate::phases::{attempt, forwarding, receive, retry};
use crate::relay::Attempt;
use crate::stream::{Stream, held};
use crate::view::ClusterView;

/// Hosts that are tried when connecting fails, as in MOSN.
const MAX_HOSTS: usize = 3;

/// Before a host is asked again that has just failed: so long, doubled with
/// each time, at most [`MAX_PAUSE`].
const PAUSE: Duration = Duration::from_millis(25);

const MAX_PAUSE: Duration = Duration::from_millis(250);

/// How long a host that wants HTTP/1.1 is not asked in HTTP/2.
const HTTP1_REMEMBERED: Duration = Duration::from_secs(300);

/// Memory for a spare head that is left to the next request.
const SPARE_HEAD_BYTES: usize = 16 * 1024;

/// Whether a request has been changed as its route wants.
#[derive(PartialEq, Eq)]
enum RouteApplied {
    No,
    Yes,
}

/// Whether a connection that waits in the pool will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freshness {
    Any,
    /// One from the pool brought nothing.
    Fresh,
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

/// Sends the request to a host and answers the client. `None`: a filter
/// wants the route matched again.
pub(crate) async fn ask(s: &mut Stream<'_>, to: &mut Forward<'_>, passes: u32) -> Result<Option<End>, Stop> {
    let cluster = to.cluster;
    retry::begin(s);
    if speaks_http2(s, cluster) {
        prepare_http2(s)?;
    }
    let mut hosts = Hosts::default();
    let mut applied = RouteApplied::No;
    let mut failure: Option<Failed> = None;
    let mut rechosen = 0;
    let edited_per_host = keep_head(s, cluster);
    loop {
        let picked = match choose::pick(s, to, &hosts.tried) {
            None => failed_host(s, to, &mut hosts).await?,
            picked => picked,
        };
        let Some(position) = picked else {
            let none = || Stop::upstream(502, "no_host", ResponseFlags::NO_HEALTHY_UPSTREAM).into();
            return Err(failure.unwrap_or_else(none).last());
        };
        s.state.info.upstream_host = Some(cluster.cluster.members()[position].host.text().clone());
        let flow = match s.listener.hooks.is_busy(ReceiverPhase::AfterChooseHost) {
            true => receive::receive(s, ReceiverPhase::AfterChooseHost).await?,
            false => Next::On,
        };
        match flow {
            Next::On => {}
            Next::Rematch => return Ok(None),
            Next::Rechoose if rechosen >= passes => {
                return Err(Stop::error(500, "too_many_passes", ResponseFlags::FILTER_FAULT, ResetBy::Nobody));
            }
            Next::Rechoose => {
                rechosen += 1;
                hosts.leave_out(position);
                continue;
            }
        }
        if !s.has_request_body() && s.edits(BodyDirection::Request) {
            receive::show_empty_request(s).await?;
        }
        s.state.info.attempts += 1;
        let (outcome, again) = match try_host(s, to, position, &mut applied).await {
            Ok(end) => return Ok(Some(end)),
            Err(tried) => tried,
        };
        match again {
            Again::No => return Err(outcome.last()),
            Again::Elsewhere => {
                hosts.leave_out(position);
                hosts.unreachable += 1;
                if hosts.unreachable >= MAX_HOSTS {
                    return Err(outcome.last());
                }
                failure = Some(outcome);
            }
            Again::Fresh | Again::Unseen | Again::OverHttp1 | Again::ByPolicy | Again::Allowed => {
                hosts.tried.insert(position)
            }
        }
        if edited_per_host {
            s.state.request.copy_from(s.spare);
            applied = RouteApplied::No;
        }
        s.state.request.state = HeadState::Open;
    }
}

/// Keeps the request's head if filters may change it for one host and
/// another host may follow. Without such filters it costs nothing.
fn keep_head(s: &mut Stream<'_>, cluster: &ClusterView) -> bool {
    let edited = !s.listener.hooks.receive(ReceiverPhase::AfterChooseHost).is_empty();
    let keeps = edited && (cluster.cluster.members().len() > 1 || s.retry.left > 0);
    if keeps {
        s.spare.headers.shrink(SPARE_HEAD_BYTES);
        s.spare.copy_from(&s.state.request);
    }
    keeps
}

/// A host that failed before, after a pause: there is no other.
async fn failed_host(s: &mut Stream<'_>, to: &mut Forward<'_>, hosts: &mut Hosts) -> Result<Option<usize>, Stop> {
    if hosts.tried == hosts.out {
        return Ok(None);
    }
    let time = PAUSE.saturating_mul(1 << hosts.rounds.min(8)).min(MAX_PAUSE);
    hosts.rounds += 1;
    hosts.tried = hosts.out.clone();
    pause(s, time).await?;
    Ok(choose::pick(s, to, &hosts.tried))
}

/// Puts the request into the form that the host gets: once by the route,
/// for each host by its name.
fn prepare(s: &mut Stream<'_>, cluster: &ClusterView, position: usize, applied: &mut RouteApplied) -> Result<(), Stop> {
    let member = &cluster.cluster.members()[position];
    if *applied == RouteApplied::No {
        *applied = RouteApplied::Yes;
        return forwarding::apply_route(s, member);
    }
    if let Some(matched) = s.matched() {
        matched.rewrite_host(&mut s.state.request, member.hostname.as_deref());
    }
    Ok(())
}

/// One request and response at the host at `position`, and whether another
/// may follow: at once on a fresh connection if nobody has seen anything of it.
async fn try_host(
    s: &mut Stream<'_>,
    to: &mut Forward<'_>,
    position: usize,
    applied: &mut RouteApplied,
) -> Result<End, (Failed, Again)> {
    let cluster = to.cluster;
    let pool = &cluster.pools[position];
    let mut spoken = match speaks_http2(s, cluster) && !pool.requires_http1() {
        true => Protocol::Http2,
        false => Protocol::Http11,
    };
    let mut freshness = Freshness::Any;
    if cluster.by_name
        && let Err(stop) = prepare(s, cluster, position, applied)
    {
        return Err((stop.into(), Again::No));
    }
    loop {
        let authority = &*s.state.request.authority;
        let pooled = match freshness {
            Freshness::Any => {
                poll_fn(|cx| Poll::Ready(connect::pooled(cluster, position, spoken, authority, cx))).await
            }
            Freshness::Fresh => None,
        };
        let upstream = match pooled {
            Some(upstream) => upstream,
            None => match connect::carrier(s, cluster, position, spoken).await {
                Ok(upstream) => upstream,
                Err(outcome) => {
                    let again = outcome.again();
                    return Err((outcome, again));
                }
            },
        };
        if freshness == Freshness::Any
            && let Err(stop) = prepare(s, cluster, position, applied)
        {
            return Err((stop.into(), Again::No));
        }
        let mut attempt = Attempt::new(upstream, cluster.clone(), position);
        s.retry.sent();
        let outcome = match attempt::run(s, to, &mut attempt).await {
            Ok(end) => {
                let now = attempt.end();
                s.ended = Some(now);
                if s.request.flow.is_done() {
                    keep(cluster, position, attempt.upstream, now);
                } else {
                    part(cluster, attempt.upstream);
                }
                return Ok(end);
            }
            Err(outcome) => outcome,
        };
        let again = match outcome.again() {
            // Once more at a host that refuses, then rather at others.
            again @ (Again::Fresh | Again::Unseen) if s.retry.repeat() > 1 => again,
            Again::Fresh | Again::Unseen => Again::Fresh,
            Again::OverHttp1 => {
                pool.require_http1(HTTP1_REMEMBERED);
                Again::OverHttp1
            }
            Again::ByPolicy => retry::may_try_again(s, &cluster.cluster, &attempt),
            again => again,
        };
        let sent = s.request.flow.is_done();
        if again != Again::No {
            retry::rewind(s);
        }
        if again == Again::OverHttp1 {
            part(cluster, attempt.upstream);
            spoken = Protocol::Http11;
            continue;
        }
        if again == Again::Fresh {
            part(cluster, attempt.upstream);
            freshness = Freshness::Fresh;
            continue;
        }
        // What was cut, the host is to see at once.
        if sent && again != Again::No {
            let now = attempt.end();
            keep(cluster, position, attempt.upstream, now);
        } else {
            part(cluster, attempt.upstream);
        }
        return Err((outcome, again));
    }
}

/// Keeps a carrier for others, if it may have another request.
#[inline]
fn keep(cluster: &ClusterView, position: usize, upstream: Upstream, now: Instant) {
    match upstream {
        Upstream::H1(connection) => cluster.give_back(position, connection, now),
        upstream @ Upstream::H2(_) => part(cluster, upstream),
    }
}

/// Ends a request's part in its carrier.
fn part(cluster: &ClusterView, upstream: Upstream) {
    let shared = matches!(upstream, Upstream::H2(_));
    drop(upstream);
    if shared {
        cluster.left();
    }
}

/// Whether hosts are spoken to in HTTP/2.
#[inline]
fn speaks_http2(s: &Stream<'_>, cluster: &ClusterView) -> bool {
    let of_route = s.matched().and_then(|matched| matched.upstream_protocol());
    cluster.speaks_http2(of_route, s.start.version)
}

/// Refuses what HTTP/2 cannot carry. A body is kept as far as it may be needed
/// again: hosts may refuse any request that they have not looked at.
fn prepare_http2(s: &mut Stream<'_>) -> Result<(), Stop> {
    if s.start.upgrade == Upgrade::Asked {
        return Err(Stop::error(403, "upgrade_over_http2", ResponseFlags::default(), ResetBy::Nobody));
    }
    let has_body = s.has_request_body() || s.edits(BodyDirection::Request);
    if has_body && matches!(s.request.replay, Replay::Off) {
        held::begin_replay(s);
    }
    Ok(())
}
