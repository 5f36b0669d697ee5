//! What the choice of a host depends on, besides the hosts.

use sidegate_api::LbMetadata;

use crate::tried::TriedHosts;

/// One stream's wishes.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// Hosts that are out of the question.
    pub tried: &'a TriedHosts,
    /// Of the route's hash policy; `None`: it has none, or the request lacks
    /// what it hashes. Only consistent hashing reads it.
    pub hash: Option<u64>,
    /// Metadata that the host must have; empty: any. Only clusters with
    /// subsets read it.
    pub subset: &'a LbMetadata,
}
