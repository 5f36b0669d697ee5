//! Upstream clusters: their configuration, their hosts, and the choice of a
//! host.
//!
//! ```text
//!  ClusterConfig ─┐
//!                 ├─ Cluster::new ─▶ Arc<Cluster> ─▶ Balancer (one per worker) ─ pick ─▶ Member
//!  HostRegistry ──┘   (immutable)                                                         │
//!   (process)           ▲                           Arc<Host>: health, metrics, streaks ◀─┤
//!                       └───────────── report: what came of the attempt ◀─────────────────┘
//! ```
//!
//! There is no I/O here: health checks and names are configured here and
//! carried out by `sidegate-upkeep`.

#![forbid(unsafe_code)]

mod balancer;
mod breakers;
mod checks;
mod choice;
mod cluster;
mod config;
mod dns;
mod group;
mod hash;
mod host;
mod host_tls;
mod http2;
mod lb;
mod metrics;
mod outlier;
mod panic;
mod policy;
mod queue;
mod random;
mod registry;
mod report;
mod retries;
mod slow_start;
mod subset;
mod tls_metrics;
mod tried;

pub use balancer::Balancer;
pub use breakers::{BreakerConfig, Breakers, Overflow, Permit, Resource};
pub use checks::{HealthCheckConfig, HttpProbe, Probe, ProbeMethod, ProbeProtocol};
pub use choice::Choice;
pub use cluster::{Cluster, ClusterError, Member};
pub use config::{ClusterConfig, HostConfig, HostDuty, HostWeight, HostWeightError};
pub use dns::{DnsConfig, LookupFamily, NamedHost, Resolver, ResolverServers, Ttl};
pub use hash::stable_hash;
pub use host::{Health, Host, Reason};
pub use host_tls::HostTls;
pub use http2::Http2Metrics;
pub use metrics::UpstreamMetrics;
pub use outlier::{HostReport, OutlierConfig};
pub use panic::PanicThreshold;
pub use policy::{ClusterKind, ClusterKindError, LbOptions, LbPolicy, LbPolicyError};
pub use queue::Place;
pub use random::{Random, Seed};
pub use registry::HostRegistry;
pub use retries::{RetryBudget, RetryLimit, RetryPermit};
pub use slow_start::SlowStart;
pub use subset::{SubsetConfig, SubsetFallback};
pub use tried::TriedHosts;

#[cfg(test)]
mod tests;
