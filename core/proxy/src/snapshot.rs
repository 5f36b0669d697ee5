//! What a worker needs to serve: immutable, replaced as a whole.

use std::sync::Arc;

use sidegate_telemetry::DownstreamStats;
use sidegate_upstream::Cluster;

use crate::ProxyConfig;

/// One consistent configuration of the data path.
#[derive(Debug, Clone)]
pub struct ProxySnapshot {
    /// By the index that the accept point gives connections.
    pub listeners: Vec<(Arc<ProxyConfig>, DownstreamStats)>,
    /// All clusters that routes name.
    pub clusters: Vec<Arc<Cluster>>,
}

impl ProxySnapshot {
    /// The same with another cluster of the same name.
    pub fn with_cluster(&self, cluster: Arc<Cluster>) -> Self {
        let mut snapshot = self.clone();
        for known in snapshot.clusters.iter_mut().filter(|known| known.name() == cluster.name()) {
            *known = cluster.clone();
        }
        snapshot
    }
}
