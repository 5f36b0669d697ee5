//! One request on one upstream connection.

use std::rc::Rc;
use std::time::Instant;

use sidegate_stream::{ResponseStart, Upstream};

use crate::host::RequestCount;
use crate::outcome::Bound;
use crate::stream::{Download, Upload};
use crate::view::ClusterView;

/// One request on one upstream connection.
pub(crate) struct Attempt {
    pub(crate) upstream: Upstream,
    pub(crate) count: RequestCount,
    pub(crate) upload: Upload,
    pub(crate) download: Download,
    /// Set once the response head is there.
    pub(crate) start: Option<ResponseStart>,
    /// Where both directions stood when deadlines were last set.
    pub(crate) armed_at: Option<(Upload, Download, u64)>,
    /// Which bound the upstream's deadline is.
    pub(crate) bound: Bound,
    /// Where the upload goes on after [`Upload::Again`], and where it stood
    /// when it broke.
    pub(crate) rest: Upload,
}

impl Attempt {
    /// An attempt at the member at `position` of `cluster`.
    pub(crate) fn new(upstream: Upstream, cluster: Rc<ClusterView>, position: usize) -> Self {
        let count = RequestCount::new(cluster, position);
        Attempt {
            upstream,
            count,
            upload: Upload::Reading,
            download: Download::Head,
            start: None,
            armed_at: None,
            bound: Bound::Request,
            rest: Upload::Reading,
        }
    }

    /// When the request was handed over.
    pub(crate) fn started(&self) -> Instant {
        self.count.started()
    }

    /// The attempt ends now.
    pub(crate) fn end(&mut self) -> Instant {
        self.count.end_now()
    }

    /// What is left of the upload, without what was sent.
    pub(crate) fn rest(&self) -> Upload {
        self.upload.left(self.rest)
    }

    /// The carrier, unless the request was not sent to its end.
    #[inline]
    pub(crate) fn into_carrier(self) -> Option<Upstream> {
        (self.upload == Upload::Done).then_some(self.upstream)
    }
}
