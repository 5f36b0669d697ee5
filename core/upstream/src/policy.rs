//! How hosts are found and how one is chosen, by the names of the
//! configuration.

use std::num::NonZeroUsize;

/// How a cluster's hosts are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClusterKind {
    /// `SIMPLE`: they are listed.
    #[default]
    Simple,
    /// `STATIC`: the same by another name.
    Static,
    /// `DYNAMIC`: they are listed; nothing here finds others.
    Dynamic,
    /// `EDS`: the same.
    Eds,
    /// `STRICT_DNS`: they are all addresses of the listed names.
    StrictDns,
}

/// A text names no cluster type that works here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClusterKindError {
    /// MOSN has it, we do not.
    #[error("this cluster type is not supported yet; expected SIMPLE, STATIC or STRICT_DNS")]
    Unsupported,
    /// Nobody has it.
    #[error("expected SIMPLE, STATIC or STRICT_DNS")]
    Unknown,
}

impl ClusterKind {
    const ALL: [ClusterKind; 5] =
        [ClusterKind::Simple, ClusterKind::Static, ClusterKind::Dynamic, ClusterKind::Eds, ClusterKind::StrictDns];

    /// Parses `type`.
    pub fn parse(text: &str) -> Result<Self, ClusterKindError> {
        match Self::ALL.into_iter().find(|kind| kind.as_str() == text) {
            Some(kind) => Ok(kind),
            None if text == "ORIGINAL_DST" => Err(ClusterKindError::Unsupported),
            None => Err(ClusterKindError::Unknown),
        }
    }

    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            ClusterKind::Simple => "SIMPLE",
            ClusterKind::Static => "STATIC",
            ClusterKind::Dynamic => "DYNAMIC",
            ClusterKind::Eds => "EDS",
            ClusterKind::StrictDns => "STRICT_DNS",
        }
    }
}

/// How a host is chosen. All but [`LbPolicy::FirstOfRequest`] honour host weights; MOSN's plain round robin and
/// random do not, but with equal weights there is no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LbPolicy {
    /// Each by its weight, at random.
    Random,
    /// In turn, spread evenly by weight.
    #[default]
    RoundRobin,
    /// The first that is not out and was not tried yet for the request: a
    /// primary with its backups. Weights say nothing there.
    FirstOfRequest,
    /// The one with the fewest requests in progress, of a few drawn at random.
    LeastRequest,
    /// The one with the fewest connections, of a few drawn at random.
    LeastConnection,
    /// The one with the smallest product of latest latencies and requests in
    /// progress, of a few drawn at random.
    PeakEwma,
    /// By the hash of the route's hash policy; without one at random.
    Maglev,
}

/// `lbconfig` of a cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LbOptions {
    /// Hosts that are compared for the least load.
    pub choices: NonZeroUsize,
    /// Power that requests in progress are raised to before they are compared:
    /// 0 leaves only the weights.
    pub active_request_bias: f64,
}

impl Default for LbOptions {
    /// MOSN's defaults.
    fn default() -> Self {
        LbOptions { choices: NonZeroUsize::MIN.saturating_add(1), active_request_bias: 1.0 }
    }
}

/// A text names no balancing policy that works here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LbPolicyError {
    /// MOSN has it, we do not.
    #[error("this lb_type is not supported yet; expected {LB_TYPES}")]
    Unsupported,
    /// Nobody has it.
    #[error("expected {LB_TYPES}")]
    Unknown,
}

const LB_TYPES: &str = "LB_RANDOM, LB_ROUNDROBIN, LB_WEIGHTED_ROUNDROBIN, LB_REQUEST_ROUNDROBIN, LB_LEAST_REQUEST, \
                        LB_LEAST_CONNECTION, LB_PEAK_EWMA or LB_MAGLEV";

impl LbPolicy {
    /// Parses `lb_type`.
    pub fn parse(text: &str) -> Result<Self, LbPolicyError> {
        match text {
            "LB_RANDOM" => Ok(LbPolicy::Random),
            "LB_ROUNDROBIN" | "LB_WEIGHTED_ROUNDROBIN" => Ok(LbPolicy::RoundRobin),
            "LB_REQUEST_ROUNDROBIN" => Ok(LbPolicy::FirstOfRequest),
            "LB_LEAST_REQUEST" => Ok(LbPolicy::LeastRequest),
            "LB_LEAST_CONNECTION" => Ok(LbPolicy::LeastConnection),
            "LB_PEAK_EWMA" => Ok(LbPolicy::PeakEwma),
            "LB_MAGLEV" => Ok(LbPolicy::Maglev),
            "LB_ORIGINAL_DST" => Err(LbPolicyError::Unsupported),
            _ => Err(LbPolicyError::Unknown),
        }
    }

    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            LbPolicy::Random => "LB_RANDOM",
            LbPolicy::RoundRobin => "LB_ROUNDROBIN",
            LbPolicy::FirstOfRequest => "LB_REQUEST_ROUNDROBIN",
            LbPolicy::LeastRequest => "LB_LEAST_REQUEST",
            LbPolicy::LeastConnection => "LB_LEAST_CONNECTION",
            LbPolicy::PeakEwma => "LB_PEAK_EWMA",
            LbPolicy::Maglev => "LB_MAGLEV",
        }
    }
}
