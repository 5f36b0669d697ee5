//! What a stream needs while it runs, and the next one after it.

use sidegate_api::{RequestHead, StreamState};
use sidegate_net::WorkerContext;
use sidegate_overload::HeavyMark;

use super::Timers;
use crate::chain::FilterChain;

/// Memory and deadlines of one stream at a time. A stream borrows all of it and
/// leaves it to the next, so that a request allocates nothing. A connection of
/// HTTP/1 has one; where streams run side by side, each has its own.
pub(crate) struct Kit {
    /// What filters and logs see.
    pub(crate) state: Box<StreamState>,
    pub(crate) chain: FilterChain,
    pub(crate) timers: Timers,
    /// Any bytes.
    pub(crate) scratch: Vec<u8>,
    /// The request's head as it was before filters of a host saw it.
    pub(crate) spare: RequestHead,
    /// The stream's place among those that hold much.
    pub(crate) mark: HeavyMark,
}

impl Kit {
    /// For streams of this worker, one after the other.
    pub(crate) fn new(worker: &WorkerContext) -> Self {
        Kit {
            state: Box::default(),
            chain: FilterChain::default(),
            timers: Timers::new(worker),
            scratch: Vec::new(),
            spare: RequestHead::default(),
            mark: HeavyMark::default(),
        }
    }

    /// As new, for a stream of whatever connection; memory stays, up to a bound.
    pub(crate) fn clean(&mut self) {
        self.state.reset();
        self.state.info.connection = None;
        for timer in [&self.timers.down, &self.timers.up, &self.timers.filter, &self.timers.leave] {
            timer.set(None);
        }
    }

    /// Frees what memory can be done without while no stream uses it. What is
    /// known of the connection stays.
    pub(crate) fn slim(&mut self) {
        self.state.slim();
        self.chain = FilterChain::default();
        self.scratch = Vec::new();
        self.spare = RequestHead::default();
    }
}
