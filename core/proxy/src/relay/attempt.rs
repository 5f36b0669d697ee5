//! One request at one host.

use std::rc::Rc;
use std::time::Instant;

use sidegate_stream::Upstream;

use crate::host::RequestCount;
use crate::view::ClusterView;

/// One request on its carrier to a host.
pub(crate) struct Attempt {
    pub(crate) upstream: Upstream,
    pub(crate) count: RequestCount,
}

impl Attempt {
    /// An attempt at the member at `position` of `cluster`.
    pub(crate) fn new(upstream: Upstream, cluster: Rc<ClusterView>, position: usize) -> Self {
        Attempt { upstream, count: RequestCount::new(cluster, position) }
    }

    /// When the request was handed over.
    pub(crate) fn started(&self) -> Instant {
        self.count.started()
    }

    /// The attempt ends now.
    pub(crate) fn end(&mut self) -> Instant {
        self.count.end_now()
    }
}
