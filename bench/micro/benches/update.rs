//! What a change of the configuration costs a worker that has 10,000 clusters
//! with a host each and 10,000 routes. Requests of that worker wait for so long.

#![allow(clippy::unwrap_used)]

use std::rc::Rc;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use sidegate_api::{Address, HeaderCase, Http2Settings, Metrics, Slashes, Spoken, WorkerIndex};
use sidegate_net::{ListenerId, Service, WorkerContext};
use sidegate_proxy::{
    Forwarding, Http1Limits, ListenerSpec, ProxyConfig, ProxyService, RouteSet, TargetBytes, Timeouts, Update,
};
use sidegate_router::{
    Domain, ForwardAction, HeaderOps, PathMatch, RouteAction, RouteConfig, RouteMatch, RouteTable, RouterConfig,
    VirtualHostConfig,
};
use sidegate_telemetry::DownstreamStats;
use sidegate_upstream::{Cluster, ClusterConfig, HostConfig, HostRegistry};

const MANY: usize = 10_000;
const LISTENER: ListenerId = ListenerId(0);

fn name(number: usize) -> String {
    format!("cluster-{number}")
}

/// A cluster of so many hosts on ports from `first` on.
fn cluster(number: usize, first: u16, hosts: u16, registry: &HostRegistry) -> Arc<Update> {
    let address = |port| Address::Tcp(([127, 0, 0, 1], port).into());
    let hosts = (first..first + hosts).map(|port| HostConfig::new(address(port))).collect();
    let cluster = Arc::new(Cluster::new(ClusterConfig::new(name(number), hosts), registry).unwrap());
    Arc::new(Update::Cluster(cluster.name().clone(), Some(cluster)))
}

fn routes() -> Arc<RouteSet> {
    let route = |number| {
        let path = RouteMatch::new(PathMatch::prefix(&format!("/{number}/")).unwrap(), vec![]);
        RouteConfig::new(name(number), path, RouteAction::Forward(ForwardAction::to(name(number))))
    };
    let host = VirtualHostConfig {
        name: "all".into(),
        domains: vec![Domain::Any],
        routes: (0..MANY).map(route).collect(),
        headers: HeaderOps::default(),
        per_filter_config: vec![],
    };
    let router = RouterConfig {
        name: "router".into(),
        virtual_hosts: vec![host],
        headers: HeaderOps::default(),
        slashes: Slashes::default(),
    };
    Arc::new(RouteSet::plain(Arc::new(RouteTable::new(router).unwrap())))
}

fn listener(metrics: &Metrics) -> Update {
    let config = ProxyConfig {
        listener: "bench".into(),
        filters: vec![],
        access_logs: vec![],
        downstream: Spoken::Http1,
        http2: Http2Settings::downstream(),
        limits: Http1Limits::default(),
        timeouts: Timeouts::default(),
        idle_timeout: None,
        forwarding: Forwarding::default(),
        upgrades: vec![],
        header_case: HeaderCase::default(),
        target_bytes: TargetBytes::default(),
        tls: None,
    };
    let stats = DownstreamStats::new(metrics, "bench").unwrap();
    Update::Listener(LISTENER, Some(Arc::new(ListenerSpec { config: Arc::new(config), stats, routes: routes() })))
}

/// A worker with everything.
fn worker(metrics: &Metrics, hosts: &HostRegistry) -> Rc<ProxyService> {
    let mut all: Vec<Update> = (0..MANY).map(|number| Update::clone(&cluster(number, 1, 1, hosts))).collect();
    all.push(listener(metrics));
    ProxyService::start(WorkerContext::detached(WorkerIndex(0)), Arc::new(Update::Batch(all)))
}

fn updates(criterion: &mut Criterion) {
    let metrics = Metrics::new(1);
    let hosts = HostRegistry::new(metrics.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    let service = tasks.block_on(&runtime, async { worker(&metrics, &hosts) });
    let mut group = criterion.benchmark_group("update, 10,000 clusters and routes");
    for (what, count) in [("a cluster with one host", 1), ("a cluster with 100 hosts", 100)] {
        // By turns, so that each is news: half of the hosts stay.
        let [one, other] = [1, 1 + count / 2].map(|first| cluster(77, first, count, &hosts));
        let mut turns = [one, other].into_iter().cycle();
        group.bench_function(what, |bencher| {
            bencher.iter(|| {
                if let Some(update) = turns.next() {
                    service.apply(update);
                }
            })
        });
    }
    let gone = Arc::new(Update::Cluster(name(78).into(), None));
    let back = cluster(78, 1, 1, &hosts);
    group.bench_function("a cluster goes and comes back", |bencher| {
        bencher.iter(|| {
            service.apply(gone.clone());
            service.apply(back.clone());
        })
    });
    group.bench_function("other routes, all 10,000", |bencher| {
        let fresh = || Arc::new(Update::Routes(LISTENER, routes()));
        bencher.iter_batched(fresh, |update| service.apply(update), BatchSize::PerIteration)
    });
    group.finish();
}

criterion_group!(benches, updates);
criterion_main!(benches);
