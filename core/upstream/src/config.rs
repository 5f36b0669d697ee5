//! What a cluster is made of, fully typed.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::{Address, HeaderCase, Http2Settings, LbMetadata, Spoken};
use sidegate_tls::ClientContext;

use crate::breakers::BreakerConfig;
use crate::checks::HealthCheckConfig;
use crate::dns::DnsConfig;
use crate::outlier::OutlierConfig;
use crate::panic::PanicThreshold;
use crate::policy::{ClusterKind, LbOptions, LbPolicy};
use crate::slow_start::SlowStart;
use crate::subset::SubsetConfig;

/// One entry of `cluster_manager.clusters`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterConfig {
    /// Unique name.
    pub name: Arc<str>,
    /// How hosts are found.
    pub kind: ClusterKind,
    /// How a host is chosen.
    pub lb: LbPolicy,
    /// Numbers for it.
    pub lb_options: LbOptions,
    /// In configured order, drained ones among them; may be empty (every request
    /// then gets 502).
    pub hosts: Vec<HostConfig>,
    /// Bound on connecting to a host.
    pub connect_timeout: Duration,
    /// Close a pooled connection after this long without a request; `None`:
    /// never.
    pub idle_timeout: Option<Duration>,
    /// Close a connection after so many requests; `None`: no bound.
    pub max_requests_per_connection: Option<NonZeroU32>,
    /// Bytes of a response body that are read at once, and so wait in memory
    /// until the client takes them; `None`: the proxy's default.
    pub conn_buffer_limit_bytes: Option<usize>,
    /// When all hosts are used, whatever their health.
    pub panic_threshold: PanicThreshold,
    /// What its hosts are spoken to in, unless the route says otherwise.
    pub upstream_protocol: Spoken,
    /// Settings of its HTTP/2 connections.
    pub http2: Http2Settings,
    /// How names of fields are written for its hosts.
    pub header_case: HeaderCase,
    /// Whether lines of responses may end with LF alone.
    pub bare_line_feeds: bool,
    /// How much it may use at once.
    pub breakers: BreakerConfig,
    /// Passive ejection; `None`: no host is ejected.
    pub outlier: Option<OutlierConfig>,
    /// Active checks; `None`: none.
    pub health_check: Option<HealthCheckConfig>,
    /// Subsets of the hosts; `None`: any host will do.
    pub subsets: Option<SubsetConfig>,
    /// `None`: a new host gets its full share at once.
    pub slow_start: Option<SlowStart>,
    /// Hosts by name; `None`: all are in `hosts`.
    pub dns: Option<DnsConfig>,
    /// TLS towards its hosts; `None`: clear text.
    pub tls: Option<Arc<ClientContext>>,
}

impl ClusterConfig {
    /// MOSN's default for `connect_timeout`.
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
    /// Default for `idle_timeout`: that of downstream connections, so that a
    /// quiet sidecar lets go of both ends alike.
    pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(90);
    /// MOSN's default for `max_request_per_conn`.
    pub const DEFAULT_MAX_REQUESTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(1023);

    /// A cluster with defaults and these hosts.
    pub fn new(name: impl Into<Arc<str>>, hosts: Vec<HostConfig>) -> Self {
        ClusterConfig {
            name: name.into(),
            kind: ClusterKind::default(),
            lb: LbPolicy::default(),
            lb_options: LbOptions::default(),
            hosts,
            connect_timeout: Self::DEFAULT_CONNECT_TIMEOUT,
            idle_timeout: Some(Self::DEFAULT_IDLE_TIMEOUT),
            max_requests_per_connection: Some(Self::DEFAULT_MAX_REQUESTS),
            conn_buffer_limit_bytes: None,
            panic_threshold: PanicThreshold::default(),
            upstream_protocol: Spoken::Auto,
            http2: Http2Settings::upstream(),
            header_case: HeaderCase::default(),
            bare_line_feeds: false,
            breakers: BreakerConfig::default(),
            outlier: None,
            health_check: None,
            subsets: None,
            slow_start: None,
            dns: None,
            tls: None,
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

/// One entry of `hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostConfig {
    /// Where it is reached; unique in its cluster.
    pub address: Address,
    /// Name for `auto_host_rewrite`.
    pub hostname: Option<Arc<str>>,
    /// Share of the requests.
    pub weight: HostWeight,
    /// What subsets are made of.
    pub metadata: LbMetadata,
    /// The name that this is an address of; `None`: it was given by address.
    pub name: Option<Arc<str>>,
    /// Whether requests go there.
    pub duty: HostDuty,
    /// Whether it is spoken to in clear text, whatever its cluster does.
    pub clear_text: bool,
}

/// Whether requests go to a host. Files know nothing of it: it is for whoever
/// edits hosts while the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostDuty {
    /// They do, if it is well.
    #[default]
    Serves,
    /// No new ones do, whatever becomes of the others; its health is still
    /// looked after.
    Drained,
}

impl HostConfig {
    /// A host of weight 1 without a name.
    pub fn new(address: Address) -> Self {
        HostConfig {
            address,
            hostname: None,
            weight: HostWeight::default(),
            metadata: LbMetadata::default(),
            name: None,
            duty: HostDuty::Serves,
            clear_text: false,
        }
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
