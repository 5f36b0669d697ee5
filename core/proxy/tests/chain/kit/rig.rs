//! A proxy in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::{Address, AnsweredBy, HeaderCase, Metrics, Slashes};
use sidegate_net::{AcceptHandle, AcceptMode, ListenerConfig, RunPhase, Workers, bind, start_accepting};
use sidegate_protocol::http1::{TargetBytes, UpgradeProtocol};
use sidegate_proxy::{
    FilterEntry, Forwarding, Http1Limits, ProxyConfig, ProxyService, ProxySnapshot, RouteConfigs, Timeouts,
};
use sidegate_router::{
    Domain, ForwardAction, HeaderOps, PathMatch, RouteAction, RouteConfig, RouteMatch, RouteTable, RouterConfig,
    VirtualHostConfig,
};
use sidegate_telemetry::{DownstreamStats, FilterReplies};
use sidegate_upstream::{Cluster, ClusterConfig, HostConfig, HostRegistry};

use super::script::Factory;
use super::{Conn, Log, PATIENCE, Script};

/// One configuration.
pub struct Setup {
    pub scripts: Vec<Arc<Script>>,
    pub routes: Vec<RouteConfig>,
    pub clusters: Vec<ClusterConfig>,
    pub timeouts: Timeouts,
    pub limits: Http1Limits,
    pub idle_timeout: Option<Duration>,
    pub upgrades: Vec<UpgradeProtocol>,
    pub workers: usize,
    pub log: Log,
    /// Objects for the place in the chain with the same number.
    pub route_configs: Vec<RouteConfigs>,
}

/// A running proxy. Dropping it stops it at once and checks that every filter
/// was treated as promised.
pub struct Rig {
    pub address: SocketAddr,
    pub log: Log,
    pub workers: Workers<ProxyService>,
    accept: Option<AcceptHandle>,
    scripts: Vec<Arc<Script>>,
    metrics: Metrics,
    hosts: HostRegistry,
    snapshot: Arc<ProxySnapshot>,
}

/// A cluster of these hosts.
pub fn cluster(name: &str, hosts: &[SocketAddr]) -> ClusterConfig {
    ClusterConfig::new(name, hosts.iter().map(|&a| HostConfig::new(Address::Tcp(a))).collect())
}

/// A route for paths with this prefix.
pub fn route_to(prefix: &str, cluster: &str) -> RouteConfig {
    route(RouteMatch::new(PathMatch::prefix(prefix).unwrap(), vec![]), prefix, cluster)
}

pub fn route(matcher: RouteMatch, name: &str, cluster: &str) -> RouteConfig {
    RouteConfig::new(name, matcher, RouteAction::Forward(ForwardAction::to(cluster)))
}

impl Setup {
    /// Everything to these hosts.
    pub fn new(hosts: &[SocketAddr], scripts: Vec<Script>) -> Self {
        Self::logged(&Log::default(), hosts, scripts)
    }

    /// The same, with filters that write to `log`.
    pub fn logged(log: &Log, hosts: &[SocketAddr], scripts: Vec<Script>) -> Self {
        let log = log.clone();
        let scripts = scripts.into_iter().map(|script| Arc::new(script.logging_to(&log))).collect();
        Setup {
            scripts,
            routes: vec![route_to("/", "main")],
            clusters: vec![cluster("main", hosts)],
            timeouts: Timeouts::default(),
            limits: Http1Limits::default(),
            idle_timeout: None,
            upgrades: ProxyConfig::default_upgrades(),
            workers: 1,
            log,
            route_configs: Vec::new(),
        }
    }

    pub fn start(self) -> Rig {
        let metrics = Metrics::new(self.workers);
        let hosts = HostRegistry::new(metrics.clone());
        let (count, log, scripts) = (self.workers, self.log.clone(), self.scripts.clone());
        let snapshot = self.snapshot(&metrics, &hosts);
        let workers = Workers::<ProxyService>::start(
            count,
            &metrics,
            &snapshot,
            &sidegate_overload::Overload::unlimited(count),
            || {},
        )
        .unwrap();
        let listener = Arc::new(ListenerConfig {
            name: "test".into(),
            address: Address::parse("127.0.0.1:0").unwrap(),
            backlog: 64,
            accept: AcceptMode::Balanced,
            socket_mode: None,
            idle_timeout: None,
        });
        let bound = bind(listener, count).unwrap();
        let address = bound.address.socket_addr().unwrap();
        let accept = Some(start_accepting(vec![bound], &workers).unwrap());
        Rig { address, log, workers, accept, scripts, metrics, hosts, snapshot }
    }

    fn snapshot(self, metrics: &Metrics, hosts: &HostRegistry) -> Arc<ProxySnapshot> {
        let routes = RouteTable::new(RouterConfig {
            name: "router".into(),
            virtual_hosts: vec![VirtualHostConfig {
                name: "vhost".into(),
                domains: vec![Domain::Any],
                routes: self.routes,
                headers: HeaderOps::default(),
                per_filter_config: vec![],
            }],
            headers: HeaderOps::default(),
            slashes: Slashes::default(),
        });
        let mut route_configs = self.route_configs.into_iter();
        let filters = self.scripts.into_iter().map(|script| FilterEntry {
            name: script.name.into(),
            answers_as: AnsweredBy { filter: script.name.into(), module: None },
            on_fault: script.on_fault,
            faults: metrics.counter("faults", &[("filter", script.name)]).unwrap(),
            replies: FilterReplies::new(metrics, "test", script.name),
            factory: Arc::new(Factory(script)),
            route_configs: route_configs.next().unwrap_or_default(),
        });
        let config = ProxyConfig {
            listener: "test".into(),
            routes: Arc::new(routes.unwrap()),
            filters: filters.collect(),
            access_logs: vec![],
            limits: self.limits,
            timeouts: self.timeouts,
            idle_timeout: self.idle_timeout,
            forwarding: Forwarding::default(),
            upgrades: self.upgrades,
            header_case: HeaderCase::default(),
            target_bytes: TargetBytes::default(),
        };
        let stats = DownstreamStats::new(metrics, "test").unwrap();
        let clusters = self.clusters.into_iter().map(|c| Arc::new(Cluster::new(c, hosts).unwrap())).collect();
        Arc::new(ProxySnapshot { listeners: vec![(Arc::new(config), stats)], clusters })
    }
}

impl Rig {
    /// Everything to `hosts` through these filters.
    pub fn new(hosts: &[SocketAddr], scripts: Vec<Script>) -> Self {
        Setup::new(hosts, scripts).start()
    }

    pub fn connect(&self) -> Conn {
        Conn::to(self.address)
    }

    /// Faults counted for the filter of that name.
    pub fn faults(&self, name: &str) -> u64 {
        self.metrics.counter("faults", &[("filter", name)]).unwrap().get()
    }

    /// A counter's value.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.metrics.counter(name, labels).unwrap().get()
    }

    /// Gives the workers a new configuration.
    pub fn publish(&mut self, setup: Setup) {
        self.scripts.extend(setup.scripts.iter().cloned());
        self.snapshot = setup.snapshot(&self.metrics, &self.hosts);
        self.workers.publish(&self.snapshot);
    }

    /// Gives cluster `main` other hosts and leaves everything else as it is.
    pub fn change_hosts(&mut self, hosts: &[SocketAddr]) {
        let cluster = Cluster::new(cluster("main", hosts), &self.hosts).unwrap();
        self.snapshot = Arc::new(self.snapshot.with_cluster(Arc::new(cluster)));
        self.workers.publish(&self.snapshot);
    }

    /// Accepts no more and lets streams finish.
    pub fn drain(&mut self) {
        self.accept.take();
        self.workers.set_phase(RunPhase::Draining);
    }

    /// Waits until the workers have ended.
    pub fn ended(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, self.workers.ended()).await });
        assert!(ended.is_ok(), "workers did not end");
    }

    /// Ends at once, in the middle of whatever goes on.
    pub fn stop(&mut self) {
        self.accept.take();
        self.workers.set_phase(RunPhase::Stopping);
        self.ended();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.stop();
        assert_eq!(self.log.with("VIOLATION"), Vec::<String>::new(), "in {:#?}", self.log.lines());
        for script in &self.scripts {
            assert_eq!(script.live(), 0, "filters of {script:?} were not dropped: {:#?}", self.log.lines());
            assert_eq!(script.attached(), Vec::<usize>::new(), "workers of {script:?} were not detached");
        }
    }
}
