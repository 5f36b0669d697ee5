//! What a worker needs to serve: immutable, replaced as a whole.

use std::sync::Arc;

use sidegate_telemetry::DownstreamStats;
use sidegate_upstream::Cluster;

use crate::ProxyConfig;

/// One consistent configuration of the data path.
#[derive(Debug)]
pub struct ProxySnapshot {
    /// By the index that the accept point gives connections.
    pub listeners: Vec<(Arc<ProxyConfig>, DownstreamStats)>,
    /// All clusters that routes name.
    pub clusters: Vec<Arc<Cluster>>,
}
