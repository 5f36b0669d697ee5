//! The deadlines of a stream.

use sidegate_net::{Deadline, WorkerContext};

/// One for each side that can stall.
#[derive(Debug)]
pub(crate) struct Timers {
    /// The client.
    pub(crate) down: Deadline,
    /// The upstream.
    pub(crate) up: Deadline,
    /// A pending filter.
    pub(crate) filter: Deadline,
    /// A client that ended its side.
    pub(crate) leave: Deadline,
}

impl Timers {
    pub(super) fn new(worker: &WorkerContext) -> Self {
        let register = || worker.deadlines.register();
        Timers { down: register(), up: register(), filter: register(), leave: register() }
    }
}
