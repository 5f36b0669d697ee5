//! What a cluster is made of, fully typed.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::Address;

/// One entry of `cluster_manager.clusters`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Unique name.
    pub name: Arc<str>,
    /// How hosts are found.
    pub kind: ClusterKind,
    /// How a host is chosen.
    pub lb: LbPolicy,
    /// In configured order; may be empty (every request then gets 502).
    pub hosts: Vec<HostConfig>,
    /// Bound on connecting to a host.
    pub connect_timeout: Duration,
    /// Close a pooled connection after this long without a request; `None`:
    /// never.
    pub idle_timeout: Option<Duration>,
    /// Close a connection after so many requests; `None`: no bound.
    pub max_requests_per_connection: Option<NonZeroU32>,
    /// Bytes that may wait in memory per connection and direction before
    /// reading stops.
    pub conn_buffer_limit_bytes: usize,
}

impl ClusterConfig {
    /// MOSN's default for `connect_timeout`.
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
    /// Default for `idle_timeout`: that of downstream connections, so that a
    /// quiet sidecar lets go of both ends alike.
    pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(90);
    /// MOSN's default for `max_request_per_conn`.
    pub const DEFAULT_MAX_REQUESTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(1023);
    /// MOSN's default for `conn_buffer_limit_bytes`.
    pub const DEFAULT_BUFFER_LIMIT: usize = 16384;

    /// A cluster with defaults and these hosts.
    pub fn new(name: impl Into<Arc<str>>, hosts: Vec<HostConfig>) -> Self {
        ClusterConfig {
            name: name.into(),
            kind: ClusterKind::default(),
            lb: LbPolicy::default(),
            hosts,
            connect_timeout: Self::DEFAULT_CONNECT_TIMEOUT,
            idle_timeout: Some(Self::DEFAULT_IDLE_TIMEOUT),
            max_requests_per_connection: Some(Self::DEFAULT_MAX_REQUESTS),
            conn_buffer_limit_bytes: Self::DEFAULT_BUFFER_LIMIT,
        }
    }
}

impl ClusterConfig {
    /// Positions of hosts whose address an earlier host has already.
    pub fn duplicate_hosts(&self) -> impl Iterator<Item = usize> {
        let mut seen = HashSet::new();
        self.hosts
            .iter()
            .enumerate()
            .filter_map(move |(position, host)| (!seen.insert(&host.address)).then_some(position))
    }
}

/// How a cluster's hosts are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClusterKind {
    /// `SIMPLE`: they are listed.
    #[default]
    Simple,
    /// `STATIC`: the same by another name.
    Static,
}

/// A text names no cluster type that works here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClusterKindError {
    /// MOSN has it, we do not.
    #[error("this cluster type is not supported yet; expected SIMPLE or STATIC")]
    Unsupported,
    /// Nobody has it.
    #[error("expected SIMPLE or STATIC")]
    Unknown,
}

impl ClusterKind {
    /// Parses `type`.
    pub fn parse(text: &str) -> Result<Self, ClusterKindError> {
        match text {
            "SIMPLE" => Ok(ClusterKind::Simple),
            "STATIC" => Ok(ClusterKind::Static),
            "DYNAMIC" | "EDS" | "ORIGINAL_DST" | "STRICT_DNS" => Err(ClusterKindError::Unsupported),
            _ => Err(ClusterKindError::Unknown),
        }
    }

    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            ClusterKind::Simple => "SIMPLE",
            ClusterKind::Static => "STATIC",
        }
    }
}

/// How a host is chosen. Both honour host weights, MOSN's plain round robin
/// and random do not: with equal weights there is no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LbPolicy {
    /// Each by its weight, at random.
    Random,
    /// In turn, spread evenly by weight.
    #[default]
    RoundRobin,
}

/// A text names no balancing policy that works here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LbPolicyError {
    /// MOSN has it, we do not.
    #[error("this lb_type is not supported yet; expected LB_RANDOM, LB_ROUNDROBIN or LB_WEIGHTED_ROUNDROBIN")]
    Unsupported,
    /// Nobody has it.
    #[error("expected LB_RANDOM, LB_ROUNDROBIN or LB_WEIGHTED_ROUNDROBIN")]
    Unknown,
}

impl LbPolicy {
    /// Parses `lb_type`.
    pub fn parse(text: &str) -> Result<Self, LbPolicyError> {
        match text {
            "LB_RANDOM" => Ok(LbPolicy::Random),
            "LB_ROUNDROBIN" | "LB_WEIGHTED_ROUNDROBIN" | "LB_REQUEST_ROUNDROBIN" => Ok(LbPolicy::RoundRobin),
            "LB_LEAST_REQUEST" | "LB_LEAST_CONNECTION" | "LB_PEAK_EWMA" | "LB_MAGLEV" | "LB_ORIGINAL_DST" => {
                Err(LbPolicyError::Unsupported)
            }
            _ => Err(LbPolicyError::Unknown),
        }
    }

    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            LbPolicy::Random => "LB_RANDOM",
            LbPolicy::RoundRobin => "LB_ROUNDROBIN",
        }
    }
}

/// One entry of `hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostConfig {
    /// Where it is reached; unique in its cluster.
    pub address: Address,
    /// Name for `auto_host_rewrite`.
    pub hostname: Option<Arc<str>>,
    /// Share of the requests.
    pub weight: HostWeight,
}

impl HostConfig {
    /// A host of weight 1 without a name.
    pub fn new(address: Address) -> Self {
        HostConfig { address, hostname: None, weight: HostWeight::default() }
    }
}

/// Share of a cluster's requests that a host gets, relative to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostWeight(u8);

/// A weight was out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a weight from 1 to 128, found {0}")]
pub struct HostWeightError(pub u64);

impl HostWeight {
    /// MOSN's range.
    pub const MAX: u32 = 128;

    /// `weight` if it is from 1 to 128.
    pub fn new(weight: u64) -> Result<Self, HostWeightError> {
        match u8::try_from(weight) {
            Ok(small @ 1..=128) => Ok(HostWeight(small)),
            _ => Err(HostWeightError(weight)),
        }
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0.into()
    }
}

impl Default for HostWeight {
    fn default() -> Self {
        HostWeight(1)
    }
}
