//! The bodies of a stream, and how far each has come.

use std::rc::Rc;

use sidegate_api::BodyBuffer;
use sidegate_stream::{Announced, Flow, Replay};

use crate::view::ClusterView;

/// The request's body, through all attempts.
#[derive(Debug, Default)]
pub(crate) struct RequestBody {
    pub(crate) flow: Flow,
    /// What was sent of it, where that may be needed again.
    pub(crate) replay: Replay,
    /// How it was announced at first.
    pub(crate) announced: Option<Announced>,
    /// Who gets a copy of the request once it is sent.
    pub(crate) copies_to: Option<Rc<ClusterView>>,
    /// Bytes of it that hosts took.
    pub(crate) handed_over: u64,
    pub(crate) collected: Collected,
}

impl RequestBody {
    /// Whether everything that was sent of it can be sent again.
    pub(crate) fn is_all_there(&self) -> bool {
        self.handed_over == 0 || matches!(self.replay, Replay::Kept(_))
    }
}

/// The response's body: the upstream's or our own.
#[derive(Debug, Default)]
pub(crate) struct ResponseBody {
    pub(crate) flow: Flow,
    pub(crate) collected: Collected,
}

/// What was collected of a body for a filter that wants all of it.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    /// What there is of the body outside its carrier.
    pub(crate) content: Content,
    /// What came so far.
    pub(crate) whole: BodyBuffer,
    /// Filters (counted in the order in which they see this body) that it has
    /// passed.
    pub(crate) passed: usize,
}

/// Where a body's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Content {
    /// Still on the carrier.
    #[default]
    OnCarrier,
    /// All of it, with its trailers, is in the stream's buffer.
    Whole,
    /// There is none but what filters put into the stream's buffer.
    Made,
}

impl Collected {
    /// Whether all that there is of the body is in the stream's buffer.
    pub(crate) fn is_collected(&self) -> bool {
        self.content != Content::OnCarrier
    }
}
