//! Requests that go to all hosts of a cluster, and to no other.

use sidegate_api::{BodyDirection, BodyInterest, EndOfStream, LocalReply, ResetBy, ResponseFlags};
use sidegate_stream::{Announced, At, Left, Replay};

use crate::hooks::walk;
use crate::mirror::fan;
use crate::outcome::Stop;
use crate::phases::{forwarding, receive, retry};
use crate::stream::{Stream, held};

/// Sends the request to every healthy host of the cluster that its route
/// mirrors to, if that is to happen, and answers by itself, as in MOSN: the
/// route's own cluster gets nothing. The whole body is held for that.
pub(crate) async fn broadcast(s: &mut Stream<'_>) -> Result<(), Stop> {
    let matched = s.matched();
    let Some(policy) = matched.and_then(|matched| matched.mirror()) else { return Ok(()) };
    if s.asks_for_tunnel() || !s.routes.happens(policy.percent) {
        return Ok(());
    }
    let Some(cluster) = s.routes.named(&policy.cluster) else { return Ok(()) };
    // Says how long a copy may take.
    retry::begin(s);
    s.state.info.cluster = None;
    collect_all(s).await?;
    let members = cluster.cluster.members();
    let may_use = |&position: &usize| cluster.balancer.borrow_mut().may_use(position);
    let hosts: Vec<usize> = (0..members.len()).filter(may_use).collect();
    if let Some(&first) = hosts.first() {
        forwarding::apply_route(s, &members[first])?;
        let (body, trailers) = (&s.state.request_body, &s.state.request_trailers);
        let announced = match (body.len(), trailers.is_empty()) {
            (0, true) if !s.has_request_body() => s.start.body,
            (length, true) => Announced::Length(length as u64),
            (_, false) => Announced::Open,
        };
        let request = fan::copied_request(s, body.as_slice(), announced);
        for position in hosts {
            fan::send_copy(s, &cluster, Some(position), &request);
        }
    }
    Err(Stop::filter_reply(Box::new(LocalReply::new(200, "mirror_broadcast"))))
}

/// Lets the whole body pass all its filters, before any host is chosen.
async fn collect_all(s: &mut Stream<'_>) -> Result<(), Stop> {
    if let At::Again { then, .. } = s.request.flow.at() {
        return collect_what_was_sent(s, then).await;
    }
    let listener = s.listener;
    let hooks = &listener.hooks;
    let order = &hooks.request_body;
    if !s.has_request_body() {
        return receive::show_empty_request(s).await;
    }
    let waits = |&index: &usize| hooks.interests[index].request_body == BodyInterest::Whole;
    let whole = order.iter().position(waits).unwrap_or(order.len());
    receive::collect(s, whole.max(s.request.collected.passed)).await?;
    walk::pass_whole(s, BodyDirection::Request, order, order.len()).await
}

/// The same after an attempt that failed: what it sent has passed the
/// filters, and stands in front of the `rest`.
#[cold]
async fn collect_what_was_sent(s: &mut Stream<'_>, rest: Left) -> Result<(), Stop> {
    if matches!(s.request.replay, Replay::Lost) {
        return Err(Stop::error(500, "request_body_lost", ResponseFlags::FILTER_FAULT, ResetBy::Nobody));
    }
    let mut whole = s.request.replay.bytes().to_vec();
    let is_read = match rest {
        Left::Flush | Left::Drain(EndOfStream::End) => true,
        Left::Lend(left) => {
            whole.extend_from_slice(s.client.data().as_slice().get(..left).unwrap_or_default());
            s.client.consume(left);
            false
        }
        Left::Read | Left::Drain(EndOfStream::More) => false,
    };
    whole.extend_from_slice(s.state.request_body.as_slice());
    s.state.request_body.clear();
    if !is_read && s.has_request_body() {
        receive::collect(s, s.listener.hooks.request_body.len()).await?;
    }
    if whole.len() + s.state.request_body.len() > s.listener.config.limits.max_buffered_body {
        return Err(Stop::error(413, "buffered_body_too_large", ResponseFlags::TOO_LARGE, ResetBy::Downstream));
    }
    whole.extend_from_slice(s.state.request_body.as_slice());
    s.state.request_body.replace(&whole);
    held::recount_here(s).await;
    Ok(())
}
