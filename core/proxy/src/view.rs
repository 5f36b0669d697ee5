//! One worker's view of a snapshot: configuration with what the worker adds.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use sidegate_api::{Address, HeaderCase, RouteFilterConfig, WorkerIndex};
use sidegate_protocol::http1::{Limits, Spelling};
use sidegate_router::{RouteId, VirtualHostId};
use sidegate_stream::{HostPool, PoolLimits};
use sidegate_telemetry::{DownstreamStats, LogNeeds};
use sidegate_upstream::{Balancer, Cluster, Member, Seed};

use crate::attached::Attached;
use crate::mirror::Copies;
use crate::plan::ChainPlan;
use crate::room::Waiters;
use crate::target::{Clusters, TableNames, Targets};
use crate::{FilterEntry, ProxyConfig, ProxySnapshot};

/// Upstream response heads may be larger than what clients may send.
const RESPONSE_HEAD_BYTES: usize = 64 * 1024;

/// Pools by cluster name and address: they outlive snapshots.
pub(crate) type Pools = HashMap<(Arc<str>, Address), Rc<HostPool>>;

/// A snapshot on one worker.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) listeners: Vec<Rc<ListenerView>>,
    clusters: Clusters,
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
    /// Copies of requests in flight.
    pub(crate) copies: Copies,
    /// Names of the routes.
    pub(crate) names: Rc<TableNames>,
    /// Shared with the listener's views of other snapshots.
    pub(crate) attached: Rc<Attached>,
}

/// A cluster on one worker.
#[derive(Debug)]
pub(crate) struct ClusterView {
    pub(crate) name: Rc<str>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) balancer: RefCell<Balancer>,
    /// In the order of the cluster's members.
    pub(crate) pools: Vec<Rc<HostPool>>,
    pub(crate) waiters: Waiters,
    /// When this worker last said that it cannot connect for a reason of its
    /// own.
    pub(crate) complained: Cell<Option<Instant>>,
}

impl View {
    /// What did not change since the view `before` is taken over from it.
    pub(crate) fn new(snapshot: &ProxySnapshot, pools: &mut Pools, worker: WorkerIndex, before: Option<&View>) -> Self {
        let mut known: Pools = HashMap::new();
        let clusters = snapshot.clusters.iter().map(|cluster| {
            let same = before.and_then(|view| view.clusters.get(cluster.name()));
            let view = match same.filter(|view| Arc::ptr_eq(&view.cluster, cluster)) {
                Some(view) => {
                    view.pools().for_each(|(key, pool)| drop(known.insert(key, pool)));
                    view.clone()
                }
                None => Rc::new(ClusterView::new(cluster.clone(), pools, &mut known)),
            };
            (cluster.name().clone(), view)
        });
        let clusters: Clusters = Rc::new(clusters.collect());
        // Pools of hosts that are gone close what is idle; connections in use
        // end with their streams.
        for (key, pool) in pools.drain() {
            if !known.contains_key(&key) {
                pool.close();
            }
        }
        *pools = known;
        let listeners = snapshot.listeners.iter().map(|(config, stats)| {
            let same = before.and_then(|view| view.listeners.iter().find(|view| Arc::ptr_eq(&view.config, config)));
            let attached = same.map_or_else(|| Attached::new(config, worker), |view| view.attached.clone());
            Rc::new(ListenerView::new(config.clone(), stats.clone(), &clusters, attached))
        });
        View { listeners: listeners.collect(), clusters: clusters.clone() }
    }

    /// Closes idle connections that keep other workers from making one.
    pub(crate) fn make_room(&self) {
        self.clusters.values().for_each(|view| view.make_room());
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
                let key = pool_key(&cluster, member);
                let pool = pools.get(&key).or_else(|| known.get(&key)).cloned();
                let pool = pool.unwrap_or_else(|| Rc::new(HostPool::new(limits)));
                pool.set_limits(limits);
                known.insert(key, pool.clone());
                pool
            })
            .collect();
        let balancer = RefCell::new(Balancer::new(cluster.clone(), Seed::random()));
        ClusterView {
            name: Rc::from(&**cluster.name()),
            cluster,
            balancer,
            pools: of_members,
            waiters: Waiters::default(),
            complained: Cell::new(None),
        }
    }

    fn pools(&self) -> impl Iterator<Item = ((Arc<str>, Address), Rc<HostPool>)> {
        self.cluster
            .members()
            .iter()
            .zip(&self.pools)
            .map(|(member, pool)| (pool_key(&self.cluster, member), pool.clone()))
    }
}

fn pool_key(cluster: &Cluster, member: &Member) -> (Arc<str>, Address) {
    (cluster.name().clone(), member.host.address().clone())
}

impl ListenerView {
    fn new(config: Arc<ProxyConfig>, stats: DownstreamStats, clusters: &Clusters, attached: Rc<Attached>) -> Self {
        ListenerView {
            stats: Rc::new(stats),
            plan: ChainPlan::new(&config.filters),
            log_needs: config.access_logs.iter().map(|log| log.format().needs()).collect(),
            request_limits: Limits {
                slashes: config.routes.slashes(),
                max_head_bytes: config.limits.max_header_bytes,
                max_headers: config.limits.max_headers,
                max_body: config.limits.max_request_body,
                // Any of the clusters may be where a request goes.
                spelling: spelling(clusters.values().map(|cluster| cluster.cluster.config().header_case)),
                target_bytes: config.target_bytes,
                ..Limits::default()
            },
            response_limits: Limits {
                max_head_bytes: RESPONSE_HEAD_BYTES,
                max_headers: config.limits.max_response_headers,
                max_body: None,
                spelling: spelling([config.header_case]),
                ..Limits::default()
            },
            copies: Copies::default(),
            targets: Targets::new(&config.routes, clusters),
            names: Rc::new(TableNames(config.routes.clone())),
            attached,
            config,
        }
    }
}

/// Whether somebody sends names on as they were received.
fn spelling(cases: impl IntoIterator<Item = HeaderCase>) -> Spelling {
    match cases.into_iter().any(|case| case == HeaderCase::Preserve) {
        true => Spelling::Keep,
        false => Spelling::Forget,
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
