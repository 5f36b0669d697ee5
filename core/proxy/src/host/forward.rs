//! Where a request goes.

use std::rc::Rc;

use sidegate_api::LbMetadata;
use sidegate_router::Matched;
use sidegate_upstream::Permit;

use super::connect::overflow;
use crate::outcome::Stop;
use crate::stream::NewCookie;
use crate::view::{ClusterView, Target};

/// A request that its route sends to a cluster, which has room for it. Made of
/// a match alone, and gone with it.
pub(crate) struct Forward<'m> {
    pub(crate) matched: &'m Matched<'m>,
    pub(crate) cluster: &'m Rc<ClusterView>,
    /// What the host must be; `None`: anything.
    pub(crate) subset: Option<&'m LbMetadata>,
    /// Made for a client without the cookie that its route hashes.
    pub(crate) cookie: Option<Box<NewCookie>>,
    _permit: Permit,
}

impl<'m> Forward<'m> {
    pub(crate) fn new(matched: &'m Matched<'m>, target: &'m Target) -> Result<Self, Stop> {
        let Target { cluster, subset } = target;
        let permit = cluster.cluster.breakers().request().map_err(|over| overflow(cluster, over))?;
        Ok(Forward { matched, cluster, subset: subset.as_ref(), cookie: None, _permit: permit })
    }
}
