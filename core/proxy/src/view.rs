//! One worker's view of a snapshot: configuration with what the worker adds.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use sidegate_api::{Address, FilterFault, RouteFilterConfig, WorkerIndex};
use sidegate_protocol::http1::Limits;
use sidegate_router::{RouteId, VirtualHostId};
use sidegate_stream::{HostPool, PoolLimits};
use sidegate_telemetry::{DownstreamStats, LogNeeds};
use sidegate_upstream::{Balancer, Cluster, Seed};

use crate::plan::ChainPlan;
use crate::target::{Clusters, TableNames, Targets};
use crate::{FilterEntry, ProxyConfig, ProxySnapshot};

/// Upstream response heads may be larger than what clients may send.
const RESPONSE_HEAD_BYTES: usize = 64 * 1024;

/// Fields of an upstream response; up to so many the codec needs no heap.
const RESPONSE_FIELDS: usize = 128;

/// Pools by cluster name and address: they outlive snapshots.
pub(crate) type Pools = HashMap<(Arc<str>, Address), Rc<HostPool>>;

/// A snapshot on one worker.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) listeners: Vec<Rc<ListenerView>>,
}

/// A listener on one worker; lives until its last stream has ended.
#[derive(Debug)]
pub(crate) struct ListenerView {
    pub(crate) config: Arc<ProxyConfig>,
    /// Connections hold it without the rest.
    pub(crate) stats: Rc<DownstreamStats>,
    pub(crate) plan: ChainPlan,
    /// What the access logs together want to be measured.
    pub(crate) log_needs: LogNeeds,
    pub(crate) request_limits: Limits,
    pub(crate) response_limits: Limits,
    pub(crate) targets: Targets,
    /// Names of the routes.
    pub(crate) names: Rc<TableNames>,
    worker: WorkerIndex,
}

/// A cluster on one worker.
#[derive(Debug)]
pub(crate) struct ClusterView {
    pub(crate) name: Rc<str>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) balancer: RefCell<Balancer>,
    /// In the order of the cluster's members.
    pub(crate) pools: Vec<Rc<HostPool>>,
}

impl View {
    pub(crate) fn new(snapshot: &ProxySnapshot, pools: &mut Pools, worker: WorkerIndex) -> Self {
        let mut known: Pools = HashMap::new();
        let clusters = snapshot
            .clusters
            .iter()
            .map(|cluster| (cluster.name().clone(), Rc::new(ClusterView::new(cluster.clone(), pools, &mut known))));
        let clusters: Clusters = Rc::new(clusters.collect());
        // Pools of hosts that are gone close what is idle; connections in use
        // end with their streams.
        for (key, pool) in pools.drain() {
            if !known.contains_key(&key) {
                pool.close();
            }
        }
        *pools = known;
        let listeners = snapshot
            .listeners
            .iter()
            .map(|(config, stats)| Rc::new(ListenerView::new(config.clone(), stats.clone(), &clusters, worker)))
            .collect();
        View { listeners }
    }
}

impl ClusterView {
    fn new(cluster: Arc<Cluster>, pools: &mut Pools, known: &mut Pools) -> Self {
        let config = cluster.config();
        let limits = PoolLimits { idle_timeout: config.idle_timeout, max_requests: config.max_requests_per_connection };
        let of_members = cluster
            .members()
            .iter()
            .map(|member| {
                let key = (cluster.name().clone(), member.host.address().clone());
                let pool = pools.get(&key).or_else(|| known.get(&key)).cloned();
                let pool = pool.unwrap_or_else(|| Rc::new(HostPool::new(limits)));
                pool.set_limits(limits);
                known.insert(key, pool.clone());
                pool
            })
            .collect();
        let balancer = RefCell::new(Balancer::new(cluster.clone(), Seed::random()));
        ClusterView { name: Rc::from(&**cluster.name()), cluster, balancer, pools: of_members }
    }
}

impl ListenerView {
    fn new(config: Arc<ProxyConfig>, stats: DownstreamStats, clusters: &Clusters, worker: WorkerIndex) -> Self {
        for filter in &config.filters {
            let attached = catch_unwind(AssertUnwindSafe(|| filter.factory.attach_worker(worker)))
                .unwrap_or_else(|_| Err(FilterFault::new("panicked")));
            if let Err(fault) = attached {
                tracing::error!(filter = &*filter.name, %fault, "filter cannot set up its worker state");
            }
        }
        ListenerView {
            stats: Rc::new(stats),
            plan: ChainPlan::new(&config.filters),
            log_needs: config.access_logs.iter().map(|log| log.format().needs()).collect(),
            request_limits: Limits {
                max_head_bytes: config.limits.max_header_bytes,
                max_headers: config.limits.max_headers,
                max_body: config.limits.max_request_body,
                ..Limits::default()
            },
            response_limits: Limits {
                max_head_bytes: RESPONSE_HEAD_BYTES,
                max_headers: RESPONSE_FIELDS,
                max_body: None,
                ..Limits::default()
            },
            targets: Targets::new(&config.routes, clusters),
            names: Rc::new(TableNames(config.routes.clone())),
            worker,
            config,
        }
    }
}

impl Drop for ListenerView {
    fn drop(&mut self) {
        for filter in &self.config.filters {
            if catch_unwind(AssertUnwindSafe(|| filter.factory.detach_worker(self.worker))).is_err() {
                tracing::error!(filter = &*filter.name, "filter panicked while it gave up its worker state");
            }
        }
    }
}

/// The `per_filter_config` object of `filter` for a route, or else for its
/// virtual host.
pub(crate) fn route_config(
    filter: &FilterEntry,
    route: Option<(RouteId, VirtualHostId)>,
) -> Option<&dyn RouteFilterConfig> {
    let (route, virtual_host) = route?;
    filter.route_configs.get(route, virtual_host)
}
