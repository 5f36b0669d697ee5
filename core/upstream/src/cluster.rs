//! Clusters as a snapshot has them.

use std::sync::Arc;

use sidegate_api::{Address, MetricError};

use crate::config::{ClusterConfig, HostWeight};
use crate::host::{Host, HostRegistry};
use crate::metrics::UpstreamMetrics;

/// One cluster of one snapshot. Immutable; shared by all workers.
#[derive(Debug)]
pub struct Cluster {
    config: ClusterConfig,
    members: Vec<Member>,
    weights: Weights,
    metrics: Arc<UpstreamMetrics>,
}

/// A host as this snapshot uses it.
#[derive(Debug, Clone)]
pub struct Member {
    /// The host itself.
    pub host: Arc<Host>,
    /// Name for `auto_host_rewrite`.
    pub hostname: Option<Arc<str>>,
    /// Share of the requests.
    pub weight: HostWeight,
}

/// What balancers need to know of all weights together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weights {
    Equal,
    Differ,
}

/// A cluster cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// One address twice: its weight would be unclear.
    #[error("host {address} is listed twice in cluster `{cluster}`")]
    DuplicateHost {
        /// Name of the cluster.
        cluster: Arc<str>,
        /// The address.
        address: Address,
        /// Position of the second, from 0.
        position: usize,
    },
    /// Its series cannot be defined.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

impl Cluster {
    /// Makes the cluster that `config` describes, with hosts that `registry`
    /// knows already where it does.
    pub fn new(config: ClusterConfig, registry: &HostRegistry) -> Result<Self, ClusterError> {
        let metrics = Arc::new(UpstreamMetrics::for_cluster(registry.metrics(), &config.name)?);
        if let Some(position) = config.duplicate_hosts().next() {
            let (cluster, address) = (config.name.clone(), config.hosts[position].address.clone());
            return Err(ClusterError::DuplicateHost { cluster, address, position });
        }
        let mut members = Vec::with_capacity(config.hosts.len());
        for host in &config.hosts {
            members.push(Member {
                host: registry.host(&config.name, &metrics, &host.address)?,
                hostname: host.hostname.clone(),
                weight: host.weight,
            });
        }
        let equal = members.windows(2).all(|pair| pair[0].weight == pair[1].weight);
        let weights = if equal { Weights::Equal } else { Weights::Differ };
        Ok(Cluster { config, members, weights, metrics })
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.config.name
    }

    /// What it was made of.
    pub fn config(&self) -> &ClusterConfig {
        &self.config
    }

    /// Its hosts, in configured order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Its own series.
    pub fn metrics(&self) -> &UpstreamMetrics {
        &self.metrics
    }

    pub(crate) fn weights(&self) -> Weights {
        self.weights
    }
}
