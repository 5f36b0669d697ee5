//! Subsets: hosts of a cluster by their metadata.

use std::collections::HashMap;
use std::sync::Arc;

use sidegate_api::{Counter, Gauge, LbMetadata, MetricError, Metrics};

use crate::cluster::Member;
use crate::config::{ClusterConfig, HostDuty};
use crate::group::Group;

/// `lb_subset_config` of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubsetConfig {
    /// Keys that together make subsets: hosts that have all of them, grouped
    /// by their values.
    pub selectors: Vec<Vec<Arc<str>>>,
    /// Where requests go that want metadata which no subset has.
    pub fallback: SubsetFallback,
}

/// Where requests go that want metadata which no subset has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SubsetFallback {
    /// Nowhere: 502.
    #[default]
    None,
    /// To any host.
    Any,
    /// To hosts with this metadata.
    Default(LbMetadata),
}

/// All subsets of one cluster, made once.
#[derive(Debug)]
pub(crate) struct Subsets {
    by_metadata: HashMap<LbMetadata, usize>,
    pub(crate) subsets: Vec<Subset>,
    fallback: Target,
    metrics: SubsetMetrics,
}

/// Series of a cluster with subsets, as in MOSN.
#[derive(Debug)]
pub(crate) struct SubsetMetrics {
    /// Subsets of the newest snapshot; not that of a default subset.
    created: Gauge,
    /// Choices of a host by the fallback.
    fallback: Counter,
}

impl SubsetMetrics {
    pub(crate) fn new(metrics: &Metrics, cluster: &str) -> Result<Self, MetricError> {
        metrics.together(&[("cluster", cluster)], |series| {
            Ok(SubsetMetrics {
                created: series.gauge("upstream_lb_subsets_created")?,
                fallback: series.counter("upstream_lb_subsets_fallback")?,
            })
        })
    }
}

/// Some of a cluster's members.
#[derive(Debug)]
pub(crate) struct Subset {
    pub(crate) group: Group,
    /// Of each member, its place in the cluster.
    pub(crate) positions: Box<[usize]>,
}

/// Which hosts a request may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Nobody,
    All,
    Subset(usize),
}

impl Subsets {
    /// Subsets of `members`, which are the hosts of `cluster` that serve, in its
    /// order.
    pub(crate) fn new(
        config: &SubsetConfig,
        cluster: &ClusterConfig,
        members: &[Member],
        metrics: SubsetMetrics,
    ) -> Self {
        let serving = cluster.hosts.iter().filter(|host| host.duty == HostDuty::Serves);
        let hosts: Vec<&LbMetadata> = serving.map(|host| &host.metadata).collect();
        let mut by_metadata = HashMap::new();
        let mut found: Vec<(LbMetadata, Vec<usize>)> = Vec::new();
        for selector in config.selectors.iter().filter(|selector| !selector.is_empty()) {
            for (position, metadata) in hosts.iter().enumerate() {
                let pairs = selector.iter().map(|key| Some((key.clone(), metadata.get(key)?.clone())));
                let Some(pairs) = pairs.collect::<Option<Vec<_>>>() else { continue };
                let metadata = LbMetadata::new(pairs);
                let subset = *by_metadata.entry(metadata.clone()).or_insert_with(|| {
                    found.push((metadata, Vec::new()));
                    found.len() - 1
                });
                found[subset].1.push(position);
            }
        }
        metrics.created.set(i64::try_from(found.len()).unwrap_or(i64::MAX));
        let fallback = match &config.fallback {
            SubsetFallback::None => Target::Nobody,
            SubsetFallback::Any => Target::All,
            SubsetFallback::Default(wanted) => {
                let fits = |host: &LbMetadata| wanted.pairs().iter().all(|(key, value)| host.get(key) == Some(value));
                let default = (0..hosts.len()).filter(|&position| fits(hosts[position])).collect();
                found.push((wanted.clone(), default));
                Target::Subset(found.len() - 1)
            }
        };
        let subset = |(metadata, mut positions): (LbMetadata, Vec<usize>)| {
            // Two selectors may have the same keys.
            positions.sort_unstable();
            positions.dedup();
            let group = positions.iter().map(|&position| members[position].clone()).collect();
            Subset { group: Group::of_subset(cluster, group, label(&metadata)), positions: positions.into() }
        };
        Subsets { by_metadata, subsets: found.into_iter().map(subset).collect(), fallback, metrics }
    }

    /// Where a request goes that wants `criteria`: anywhere if it wants
    /// nothing, as in MOSN; else to the subset whose keys and values are exactly
    /// these, or where the fallback says. A subset whose hosts are all out is
    /// not left for the fallback.
    pub(crate) fn target(&self, criteria: &LbMetadata) -> Target {
        if criteria.pairs().is_empty() {
            return Target::All;
        }
        match self.by_metadata.get(criteria) {
            Some(subset) => Target::Subset(*subset),
            None if self.fallback == Target::Nobody => Target::Nobody,
            None => {
                self.metrics.fallback.inc();
                self.fallback
            }
        }
    }
}

/// For the log: `key=value` of each pair.
fn label(metadata: &LbMetadata) -> String {
    let pairs = metadata.pairs().iter().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(",")
}
