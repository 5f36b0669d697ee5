//! What a worker is told of the configuration.

use std::sync::Arc;

use sidegate_net::ListenerId;
use sidegate_router::RouteTable;
use sidegate_telemetry::{DownstreamStats, RouteStats};
use sidegate_upstream::Cluster;

use crate::{ProxyConfig, RouteConfigs};

/// One change of what workers serve. What it does not name stays as it is, with
/// all that workers keep for it.
#[derive(Debug, Clone)]
pub enum Update {
    /// A listener is there or is another one now; `None`: it is gone, and
    /// connections that are left end with their stream.
    Listener(ListenerId, Option<Arc<ListenerSpec>>),
    /// A listener's requests go elsewhere; its filters stay.
    Routes(ListenerId, Arc<RouteSet>),
    /// The cluster of this name is there or is another one now. `None`: it is
    /// gone. Where routes still name it, streams that began before those routes
    /// were published may use it; others are answered 503.
    Cluster(Arc<str>, Option<Arc<Cluster>>),
    /// All of these, in order, with no stream in between.
    Batch(Vec<Update>),
}

/// A listener as a worker needs it.
#[derive(Debug)]
pub struct ListenerSpec {
    /// Its settings and filters. The same object as before means that they did
    /// not change: filters keep what they have on the worker.
    pub config: Arc<ProxyConfig>,
    /// Its statistics.
    pub stats: DownstreamStats,
    /// Where its requests go.
    pub routes: Arc<RouteSet>,
}

/// The routes of a listener, and what goes with them.
#[derive(Debug)]
pub struct RouteSet {
    /// The match table.
    pub table: Arc<RouteTable>,
    /// What the filters made of `per_filter_config`, by their place in the
    /// chain; it may be shorter.
    pub route_configs: Vec<RouteConfigs>,
    /// What is counted of each route.
    pub stats: RouteStats,
}

impl RouteSet {
    /// Routes without objects of filters that nobody counts.
    pub fn plain(table: Arc<RouteTable>) -> Self {
        RouteSet { table, route_configs: Vec::new(), stats: RouteStats::default() }
    }
}
