//! Copies of requests for other clusters. Their responses are read and
//! dropped; nothing of them reaches the client or its request.

use std::rc::Rc;
use std::time::Duration;

use sidegate_api::{BodyDirection, Headers, LbMetadata, MirrorFan, MirrorHosts, RequestHead};
use sidegate_router::MirrorPolicy;
use sidegate_stream::{Announced, Expect, Replay, RequestStart, Upgrade};
use sidegate_upstream::{Choice, TriedHosts};

use super::copy::{CopiedRequest, RequestCopy};
use crate::stream::{Stream, held};
use crate::view::ClusterView;

/// How long a copy may take where requests may take for ever.
const LONGEST: Duration = Duration::from_secs(60);

/// Decides whether this request is copied. What is sent of its body is
/// kept for that from now on.
pub(crate) fn begin(s: &mut Stream<'_>, policy: &MirrorPolicy) {
    let routes = s.routes;
    if s.state.mirror.is_some_and(|fan| fan.hosts == MirrorHosts::All) {
        // Such a request is not copied but sent elsewhere, or not at all.
        return;
    }
    if s.start.upgrade == Upgrade::Asked || !routes.happens(policy.percent) {
        return;
    }
    s.request.copies_to = routes.named(&policy.cluster);
    let has_body = s.has_request_body() || s.edits(BodyDirection::Request);
    if s.request.copies_to.is_some() && has_body && matches!(s.request.replay, Replay::Off) {
        held::begin_replay(s);
    }
}

/// The request is sent to its end: sends the copies.
pub(crate) fn send_copies(s: &mut Stream<'_>) {
    let Some(cluster) = s.request.copies_to.take() else { return };
    let copies = s.state.mirror.unwrap_or(MirrorFan::ONE).copies;
    if matches!(s.request.replay, Replay::Lost) {
        s.listener.stats.mirror_dropped();
        return;
    }
    let body = s.request.replay.bytes();
    let announced = match (s.request.announced, s.state.request_trailers.is_empty()) {
        (Some(Announced::Nothing), _) => Announced::Nothing,
        (_, true) => Announced::Length(body.len() as u64),
        (_, false) => Announced::Open,
    };
    let request = copied_request(s, body, announced);
    let all = LbMetadata::default();
    for _ in 0..copies.get() {
        let choice = Choice { tried: &TriedHosts::new(), hash: None, subset: &all };
        let position = cluster.balancer.borrow_mut().pick(&choice);
        send_copy(s, &cluster, position, &request);
    }
}

pub(crate) fn send_copy(
    s: &Stream<'_>,
    cluster: &Rc<ClusterView>,
    position: Option<usize>,
    request: &Rc<CopiedRequest>,
) {
    let in_flight = s.listener.copies.one_more();
    let permit = cluster.cluster.breakers().request();
    let (Some(position), Some(in_flight), Ok(permit)) = (position, in_flight, permit) else {
        s.listener.stats.mirror_dropped();
        return;
    };
    s.listener.stats.mirrored();
    let copy = RequestCopy {
        cluster: cluster.clone(),
        position,
        request: request.clone(),
        limits: s.listener.response_limits.clone(),
        timeout: s.retry.response.unwrap_or(LONGEST),
        buffers: s.worker.buffers.clone(),
        peers: s.worker.peers.clone(),
        deadline: s.worker.deadlines.register(),
        _in_flight: in_flight,
        _permit: permit,
    };
    tokio::task::spawn_local(copy.send());
}

/// The request as its host got it, with its whole body.
pub(crate) fn copied_request(s: &Stream<'_>, body: &[u8], announced: Announced) -> Rc<CopiedRequest> {
    let mut head = RequestHead::default();
    head.copy_from(&s.state.request);
    let mut trailers = Headers::new();
    trailers.copy_from(&s.state.request_trailers);
    let start = RequestStart { body: announced, expect: Expect::None, upgrade: Upgrade::None, ..s.start };
    Rc::new(CopiedRequest { head, start, body: body.into(), trailers })
}
