//! Upstream clusters: their configuration, their hosts, and the choice of a
//! host.
//!
//! ```text
//!  ClusterConfig ─┐
//!                 ├─ Cluster::new ─▶ Arc<Cluster> ─▶ Balancer (one per worker) ─ pick ─▶ Member
//!  HostRegistry ──┘   (snapshot)                                                          │
//!   (process)                                              Arc<Host>: health and metrics ◀┘
//! ```

#![forbid(unsafe_code)]

mod balancer;
mod cluster;
mod config;
mod host;
mod metrics;
mod random;
mod tried;

pub use balancer::Balancer;
pub use cluster::{Cluster, ClusterError, Member};
pub use config::{
    ClusterConfig, ClusterKind, ClusterKindError, HostConfig, HostWeight, HostWeightError, LbPolicy, LbPolicyError,
};
pub use host::{Health, Host, HostRegistry};
pub use metrics::UpstreamMetrics;
pub use random::Seed;
pub use tried::TriedHosts;

#[cfg(test)]
mod tests;
