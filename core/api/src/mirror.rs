//! What filters say of the copies that a route's mirror policy makes.

use std::num::NonZeroU32;

/// How copies of a request are sent. Says nothing where the route mirrors
/// nothing: cluster and share are the route's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirrorFan {
    /// Copies; not read where all hosts get one.
    pub copies: NonZeroU32,
    /// Who gets them.
    pub hosts: MirrorHosts,
}

/// Hosts that get copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirrorHosts {
    /// For each copy the one that the cluster's balancer chooses.
    Chosen,
    /// Each healthy host gets one, and nobody gets the request itself: the
    /// proxy answers it.
    All,
}

impl MirrorFan {
    /// One copy, as without a filter's word.
    pub const ONE: MirrorFan = MirrorFan { copies: NonZeroU32::MIN, hosts: MirrorHosts::Chosen };
}
