//! Copies of requests for other clusters. Their responses are read and
//! dropped; nothing of them reaches the client or its request.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use sidegate_api::{BodyDirection, MirrorFan, MirrorHosts};
use sidegate_protocol::http1::{
    BodyLength, CHUNK_END, ChunkPrefix, Expect, Upgrade, encode_last_chunk, encode_request_head,
};
use sidegate_router::MirrorPolicy;
use sidegate_upstream::{Choice, TriedHosts};

use crate::copy::RequestCopy;
use crate::kept::Kept;
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
        let targets = &self.listener.targets;
        if self.meta.upgrade == Upgrade::Asked || !targets.happens(policy.percent) {
            return;
        }
        self.mirror = targets.named(&policy.cluster);
        let has_body = self.has_request_body() || self.edits(BodyDirection::Request);
        if self.mirror.is_some() && has_body && matches!(self.retry.kept, Kept::Nothing) {
            self.begin_to_keep();
        }
    }

    /// The request is sent to its end: sends the copies.
    pub(crate) fn send_copies(&mut self) {
        let Some(cluster) = self.mirror.take() else { return };
        let fan = self.state.mirror.unwrap_or(MirrorFan::ONE);
        if matches!(self.retry.kept, Kept::TooMuch) {
            self.listener.stats.mirror_dropped();
            return;
        }
        let request: Rc<[u8]> = self.copied_request().into();
        match fan.hosts {
            MirrorHosts::Chosen => {
                for _ in 0..fan.copies.get() {
                    let all = sidegate_api::LbMetadata::default();
                    let choice = Choice { tried: &TriedHosts::new(), hash: None, subset: &all };
                    let position = cluster.balancer.borrow_mut().pick(&choice);
                    self.send_copy(&cluster, position, &request);
                }
            }
            MirrorHosts::All => {
                for position in 0..cluster.cluster.members().len() {
                    if cluster.balancer.borrow_mut().may_use(position) {
                        self.send_copy(&cluster, Some(position), &request);
                    }
                }
            }
        }
    }

    fn send_copy(&self, cluster: &Rc<ClusterView>, position: Option<usize>, request: &Rc<[u8]>) {
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
            method: self.state.request.method.clone(),
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
    fn copied_request(&self) -> Vec<u8> {
        let body = self.retry.kept.bytes();
        let trailers = &self.state.request_trailers;
        let framing = match (self.retry.framing, trailers.is_empty()) {
            (Some(BodyLength::None), _) => BodyLength::None,
            (_, true) => BodyLength::Length(body.len() as u64),
            (_, false) => BodyLength::Chunked,
        };
        let mut out = Vec::with_capacity(512 + body.len());
        encode_request_head(&mut out, &self.state.request, framing, Expect::None, Upgrade::None);
        if framing == BodyLength::Chunked {
            if !body.is_empty() {
                out.extend_from_slice(ChunkPrefix::new(body.len() as u64).as_slice());
                out.extend_from_slice(body);
                out.extend_from_slice(CHUNK_END);
            }
            encode_last_chunk(&mut out, trailers);
        } else {
            out.extend_from_slice(body);
        }
        out
    }
}
