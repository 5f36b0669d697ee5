//! Copies of requests for other clusters. Their responses are read and
//! dropped; nothing of them reaches the client or its request.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use sidegate_api::{
    BodyDirection, BodyInterest, EndOfStream, Headers, LbMetadata, LocalReply, MirrorFan, MirrorHosts, RequestHead,
    ResetBy, ResponseFlags,
};
use sidegate_router::MirrorPolicy;
use sidegate_stream::{Announced, Expect, RequestStart, Upgrade};
use sidegate_upstream::{Choice, TriedHosts};

use crate::copy::{CopiedRequest, RequestCopy};
use crate::halt::Halt;
use crate::kept::Kept;
use crate::relay::Upload;
use crate::stream::Stream;
use crate::view::ClusterView;

/// Copies in flight per listener and worker: with what is kept of each and the
/// buffer of its connection, about 20 MiB. More than a host that answers needs.
const MAX_COPIES: usize = 256;

/// How long a copy may take where requests may take for ever.
const LONGEST: Duration = Duration::from_secs(60);

/// Copies in flight.
#[derive(Debug, Clone, Default)]
pub(crate) struct Copies(Rc<Cell<usize>>);

/// One of them.
pub(crate) struct CopyInFlight(Copies);

impl Copies {
    fn one_more(&self) -> Option<CopyInFlight> {
        let count = self.0.get();
        (count < MAX_COPIES).then(|| {
            self.0.set(count + 1);
            CopyInFlight(self.clone())
        })
    }
}

impl Drop for CopyInFlight {
    fn drop(&mut self) {
        let count = &self.0.0;
        count.set(count.get().saturating_sub(1));
    }
}

impl Stream<'_> {
    /// Decides whether this request is copied. What is sent of its body is
    /// kept for that from now on.
    pub(crate) fn begin_mirror(&mut self, policy: &MirrorPolicy) {
        let routes = self.routes;
        if self.state.mirror.is_some_and(|fan| fan.hosts == MirrorHosts::All) {
            // Such a request is not copied but sent elsewhere, or not at all.
            return;
        }
        if self.start.upgrade == Upgrade::Asked || !routes.happens(policy.percent) {
            return;
        }
        self.mirror = routes.named(&policy.cluster);
        let has_body = self.has_request_body() || self.edits(BodyDirection::Request);
        if self.mirror.is_some() && has_body && matches!(self.retry.kept, Kept::Nothing) {
            self.begin_to_keep();
        }
    }

    /// Sends the request to every healthy host of the cluster that its route
    /// mirrors to, if that is to happen, and answers by itself, as in MOSN: the
    /// route's own cluster gets nothing. The whole body is held for that.
    pub(crate) async fn broadcast(&mut self) -> Result<(), Halt> {
        let matched = self.matched();
        let Some(policy) = matched.and_then(|matched| matched.mirror()) else { return Ok(()) };
        if self.asks_for_tunnel() || !self.routes.happens(policy.percent) {
            return Ok(());
        }
        let Some(cluster) = self.routes.named(&policy.cluster) else { return Ok(()) };
        // Says how long a copy may take.
        self.begin_attempts();
        self.state.info.cluster = None;
        self.hold_all_of_request().await?;
        let members = cluster.cluster.members();
        let may_use = |&position: &usize| cluster.balancer.borrow_mut().may_use(position);
        let hosts: Vec<usize> = (0..members.len()).filter(may_use).collect();
        if let Some(&first) = hosts.first() {
            self.apply_route(&members[first])?;
            let (body, trailers) = (&self.state.request_body, &self.state.request_trailers);
            let announced = match (body.len(), trailers.is_empty()) {
                (0, true) if !self.has_request_body() => self.start.body,
                (length, true) => Announced::Length(length as u64),
                (_, false) => Announced::Open,
            };
            let request = self.copied_request(body.as_slice(), announced);
            for position in hosts {
                self.send_copy(&cluster, Some(position), &request);
            }
        }
        Err(Halt::filter_reply(Box::new(LocalReply::new(200, "mirror_broadcast"))))
    }

    /// Lets the whole body pass all its filters, before any host is chosen.
    async fn hold_all_of_request(&mut self) -> Result<(), Halt> {
        if let Some(rest) = self.retry.take_rest() {
            return self.hold_what_was_sent(rest).await;
        }
        let listener = self.listener;
        let plan = &listener.plan;
        let order = &plan.request_body;
        if !self.has_request_body() {
            return self.show_empty_request().await;
        }
        let waits = |&index: &usize| plan.interests[index].request_body == BodyInterest::Whole;
        let whole = order.iter().position(waits).unwrap_or(order.len());
        self.hold_request(whole.max(self.request_pass.passed)).await?;
        self.pass_held(BodyDirection::Request, order, order.len()).await
    }

    /// The same after an attempt that failed: what it sent has passed the
    /// filters, and stands in front of the `rest`.
    #[cold]
    async fn hold_what_was_sent(&mut self, rest: Upload) -> Result<(), Halt> {
        if matches!(self.retry.kept, Kept::TooMuch) {
            return Err(Halt::error(500, "request_body_lost", ResponseFlags::FILTER_FAULT, ResetBy::Nobody));
        }
        let mut whole = self.retry.kept.bytes().to_vec();
        let is_read = match rest {
            Upload::Flushing | Upload::Done | Upload::Buffered(EndOfStream::End) => true,
            Upload::Direct(left) => {
                whole.extend_from_slice(self.client.data().as_slice().get(..left).unwrap_or_default());
                self.client.consume(left);
                false
            }
            Upload::Reading | Upload::Again(_) | Upload::Broken | Upload::Buffered(EndOfStream::More) => false,
        };
        whole.extend_from_slice(self.state.request_body.as_slice());
        self.state.request_body.clear();
        if !is_read && self.has_request_body() {
            self.hold_request(self.listener.plan.request_body.len()).await?;
        }
        if whole.len() + self.state.request_body.len() > self.listener.config.limits.max_buffered_body {
            return Err(Halt::error(413, "buffered_body_too_large", ResponseFlags::TOO_LARGE, ResetBy::Downstream));
        }
        whole.extend_from_slice(self.state.request_body.as_slice());
        self.state.request_body.replace(&whole);
        self.recount_here().await;
        Ok(())
    }

    /// The request is sent to its end: sends the copies.
    pub(crate) fn send_copies(&mut self) {
        let Some(cluster) = self.mirror.take() else { return };
        let copies = self.state.mirror.unwrap_or(MirrorFan::ONE).copies;
        if matches!(self.retry.kept, Kept::TooMuch) {
            self.listener.stats.mirror_dropped();
            return;
        }
        let body = self.retry.kept.bytes();
        let announced = match (self.retry.announced, self.state.request_trailers.is_empty()) {
            (Some(Announced::Nothing), _) => Announced::Nothing,
            (_, true) => Announced::Length(body.len() as u64),
            (_, false) => Announced::Open,
        };
        let request = self.copied_request(body, announced);
        let all = LbMetadata::default();
        for _ in 0..copies.get() {
            let choice = Choice { tried: &TriedHosts::new(), hash: None, subset: &all };
            let position = cluster.balancer.borrow_mut().pick(&choice);
            self.send_copy(&cluster, position, &request);
        }
    }

    fn send_copy(&self, cluster: &Rc<ClusterView>, position: Option<usize>, request: &Rc<CopiedRequest>) {
        let in_flight = self.listener.copies.one_more();
        let permit = cluster.cluster.breakers().request();
        let (Some(position), Some(in_flight), Ok(permit)) = (position, in_flight, permit) else {
            self.listener.stats.mirror_dropped();
            return;
        };
        self.listener.stats.mirrored();
        let copy = RequestCopy {
            cluster: cluster.clone(),
            position,
            request: request.clone(),
            limits: self.listener.response_limits.clone(),
            timeout: self.retry.response.unwrap_or(LONGEST),
            buffers: self.worker.buffers.clone(),
            peers: self.worker.peers.clone(),
            deadline: self.worker.deadlines.register(),
            _in_flight: in_flight,
            _permit: permit,
        };
        tokio::task::spawn_local(copy.send());
    }

    /// The request as its host got it, with its whole body.
    fn copied_request(&self, body: &[u8], announced: Announced) -> Rc<CopiedRequest> {
        let mut head = RequestHead::default();
        head.copy_from(&self.state.request);
        let mut trailers = Headers::new();
        trailers.copy_from(&self.state.request_trailers);
        let start = RequestStart { body: announced, expect: Expect::None, upgrade: Upgrade::None, ..self.start };
        Rc::new(CopiedRequest { head, start, body: body.into(), trailers })
    }
}
