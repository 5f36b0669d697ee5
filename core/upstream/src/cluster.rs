//! Clusters as they are configured at one time.

use std::sync::Arc;

use sidegate_api::{Address, MetricError};

use crate::breakers::Breakers;
use crate::config::{ClusterConfig, HostDuty, HostWeight};
use crate::group::Group;
use crate::host::{Health, Host};
use crate::metrics::UpstreamMetrics;
use crate::registry::{EjectionMetrics, HostRegistry, Shared};
use crate::subset::Subsets;

/// One cluster. Immutable; shared by all workers. A change makes another one.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) config: ClusterConfig,
    /// All members that take requests.
    pub(crate) whole: Group,
    /// Those that take none.
    drained: Vec<Member>,
    pub(crate) subsets: Option<Subsets>,
    breakers: Breakers,
    pub(crate) shared: Arc<Shared>,
    /// There if it ejects hosts.
    pub(crate) ejections: Option<EjectionMetrics>,
}

/// A host as this cluster uses it.
#[derive(Debug, Clone)]
pub struct Member {
    /// The host itself.
    pub host: Arc<Host>,
    /// Name for `auto_host_rewrite`.
    pub hostname: Option<Arc<str>>,
    /// Share of the requests.
    pub weight: HostWeight,
    /// Whether it is spoken to in clear text, whatever its cluster does.
    pub clear_text: bool,
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
        let shared = registry.shared(&config)?;
        if let Some(position) = config.duplicate_hosts().next() {
            let (cluster, address) = (config.name.clone(), config.hosts[position].address.clone());
            return Err(ClusterError::DuplicateHost { cluster, address, position });
        }
        let (mut members, mut drained) = (Vec::with_capacity(config.hosts.len()), Vec::new());
        for host in &config.hosts {
            let member = Member {
                host: registry.host(&config.name, &shared, &host.address)?,
                hostname: host.hostname.clone(),
                weight: host.weight,
                clear_text: host.clear_text,
            };
            match host.duty {
                HostDuty::Serves => members.push(member),
                HostDuty::Drained => drained.push(member),
            }
        }
        let subsets = match &config.subsets {
            Some(subsets) => Some(Subsets::new(subsets, &config, &members, registry.subset_metrics(&config.name)?)),
            None => None,
        };
        let ejections = match &config.outlier {
            Some(_) => Some(registry.ejection_metrics(&config.name)?),
            None => None,
        };
        let breakers = Breakers::new(config.breakers, shared.used.clone());
        let whole = Group::of_cluster(&config, members);
        Ok(Cluster { config, whole, drained, subsets, breakers, shared, ejections })
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.config.name
    }

    /// What it was made of.
    pub fn config(&self) -> &ClusterConfig {
        &self.config
    }

    /// Its hosts that take requests, in configured order.
    pub fn members(&self) -> &[Member] {
        &self.whole.members
    }

    /// Its hosts that are drained, in configured order.
    pub fn drained(&self) -> &[Member] {
        &self.drained
    }

    /// Both: those that somebody has to look after.
    pub fn all_members(&self) -> impl Iterator<Item = &Member> {
        self.members().iter().chain(&self.drained)
    }

    /// Its own series.
    pub fn metrics(&self) -> &UpstreamMetrics {
        &self.shared.metrics
    }

    /// Its circuit breakers.
    pub fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// A connect was given up for a reason of our own, not the host's.
    #[cold]
    pub fn count_exhausted(&self) {
        self.shared.exhausted.inc();
    }

    /// Hosts that are well.
    pub fn healthy_hosts(&self) -> usize {
        self.members().iter().filter(|member| member.host.health() == Health::Healthy).count()
    }
}
