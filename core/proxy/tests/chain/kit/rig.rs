//! A proxy in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::{Address, AnsweredBy, HeaderCase, Http2Settings, Metrics, Slashes, Spoken};
use sidegate_net::{
    AcceptHandle, AcceptMode, BoundListener, ListenerConfig, ListenerId, RunPhase, Workers, bind, start_accepting,
};
use sidegate_proxy::{
    FilterEntry, Forwarding, Http1Limits, ListenerSpec, ProxyConfig, ProxyService, RouteConfigs, RouteSet, Timeouts,
    Update,
};
use sidegate_router::{
    Domain, ForwardAction, HeaderOps, PathMatch, RouteAction, RouteConfig, RouteMatch, RouteTable, RouterConfig,
    VirtualHostConfig,
};
use sidegate_stream::{TargetBytes, UpgradeProtocol};
use sidegate_telemetry::{DownstreamStats, FilterReplies, RouteStats};
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
    /// Names of the clusters that there are.
    clusters: Vec<Arc<str>>,
}

/// The listener that there is from the start.
pub const MAIN: ListenerId = ListenerId(0);

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

/// Runs `future` to its end on this thread.
pub fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
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
        let clusters = self.clusters.iter().map(|cluster| cluster.name.clone()).collect();
        let first = Arc::new(self.update(&metrics, &hosts));
        let workers = Workers::<ProxyService>::start(
            count,
            &metrics,
            &first,
            &sidegate_overload::Overload::unlimited(count),
            || {},
        )
        .unwrap();
        let bound = listening(MAIN, count);
        let address = bound.address.socket_addr().unwrap();
        let accept = Some(start_accepting(vec![bound], &workers).unwrap());
        Rig { address, log, workers, accept, scripts, metrics, hosts, clusters }
    }

    /// The clusters and the main listener.
    fn update(mut self, metrics: &Metrics, hosts: &HostRegistry) -> Update {
        let clusters = std::mem::take(&mut self.clusters).into_iter();
        let mut updates: Vec<Update> = clusters.map(|config| set_cluster(config, hosts)).collect();
        updates.push(Update::Listener(MAIN, Some(Arc::new(self.listener(metrics)))));
        Update::Batch(updates)
    }

    /// The listener alone.
    pub fn listener(self, metrics: &Metrics) -> ListenerSpec {
        let filters = self.scripts.into_iter().map(|script| FilterEntry {
            name: script.name.into(),
            answers_as: AnsweredBy { filter: script.name.into(), module: None },
            on_fault: script.on_fault,
            faults: metrics.counter("faults", &[("filter", script.name)]).unwrap(),
            replies: Arc::new(FilterReplies::new(metrics, "test", script.name)),
            factory: Arc::new(Factory(script)),
        });
        let config = ProxyConfig {
            listener: "test".into(),
            filters: filters.collect(),
            access_logs: vec![],
            downstream: Spoken::Http1,
            http2: Http2Settings::downstream(),
            limits: self.limits,
            timeouts: self.timeouts,
            idle_timeout: self.idle_timeout,
            forwarding: Forwarding::default(),
            upgrades: self.upgrades,
            header_case: HeaderCase::default(),
            target_bytes: TargetBytes::default(),
            tls: None,
        };
        let stats = DownstreamStats::new(metrics, "test").unwrap();
        let table = route_table(self.routes);
        let routes = RouteSet { table, route_configs: self.route_configs, stats: RouteStats::default() };
        ListenerSpec { config: Arc::new(config), stats, routes: Arc::new(routes) }
    }
}

/// A router with one virtual host for all.
pub fn route_table(routes: Vec<RouteConfig>) -> Arc<RouteTable> {
    let routes = RouteTable::new(RouterConfig {
        name: "router".into(),
        virtual_hosts: vec![VirtualHostConfig {
            name: "vhost".into(),
            domains: vec![Domain::Any],
            routes,
            headers: HeaderOps::default(),
            per_filter_config: vec![],
        }],
        headers: HeaderOps::default(),
        slashes: Slashes::default(),
    });
    Arc::new(routes.unwrap())
}

fn set_cluster(config: ClusterConfig, hosts: &HostRegistry) -> Update {
    let cluster = Arc::new(Cluster::new(config, hosts).unwrap());
    Update::Cluster(cluster.name().clone(), Some(cluster))
}

/// A socket on a port of its own.
pub fn listening(id: ListenerId, workers: usize) -> BoundListener {
    let listener = Arc::new(ListenerConfig {
        name: "test".into(),
        address: Address::parse("127.0.0.1:0").unwrap(),
        backlog: 64,
        accept: AcceptMode::Balanced,
        socket_mode: None,
        idle_timeout: None,
    });
    bind(id, listener, workers).unwrap()
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

    /// The level of something.
    pub fn level(&self, name: &str, labels: &[(&str, &str)]) -> i64 {
        self.metrics.up_down(name, labels).unwrap().get()
    }

    /// Gives the workers a new configuration: the clusters and the listener of
    /// `setup`, and no other clusters.
    pub fn publish(&mut self, setup: Setup) {
        self.scripts.extend(setup.scripts.iter().cloned());
        let names: Vec<Arc<str>> = setup.clusters.iter().map(|cluster| cluster.name.clone()).collect();
        let mut updates = vec![setup.update(&self.metrics, &self.hosts)];
        let gone = self.clusters.iter().filter(|name| !names.contains(name));
        updates.extend(gone.map(|name| Update::Cluster(name.clone(), None)));
        self.clusters = names;
        self.tell(Update::Batch(updates));
    }

    /// Gives the workers a change and waits until they have it.
    pub fn tell(&self, update: Update) {
        let published = self.workers.publish(Arc::new(update));
        assert!(wait_for(published.taken(PATIENCE)), "workers did not take an update");
    }

    /// Gives cluster `main` other hosts and leaves everything else as it is.
    pub fn change_hosts(&mut self, hosts: &[SocketAddr]) {
        self.set_cluster(cluster("main", hosts));
    }

    /// Adds or changes one cluster.
    pub fn set_cluster(&mut self, config: ClusterConfig) {
        if !self.clusters.contains(&config.name) {
            self.clusters.push(config.name.clone());
        }
        self.tell(set_cluster(config, &self.hosts));
    }

    /// Removes one cluster.
    pub fn remove_cluster(&mut self, name: &str) {
        self.clusters.retain(|known| &**known != name);
        self.tell(Update::Cluster(name.into(), None));
    }

    /// Other routes for the main listener, with the same filters.
    pub fn set_routes(&self, routes: Vec<RouteConfig>) {
        self.tell(Update::Routes(MAIN, Arc::new(RouteSet::plain(route_table(routes)))));
    }

    /// Adds or changes what a listener does.
    pub fn set_listener(&mut self, id: ListenerId, setup: Setup) {
        self.scripts.extend(setup.scripts.iter().cloned());
        self.tell(Update::Listener(id, Some(Arc::new(setup.listener(&self.metrics)))));
    }

    /// Adds a listener with these filters; where it listens.
    pub fn add_listener(&mut self, id: ListenerId, setup: Setup) -> SocketAddr {
        let workers = setup.workers;
        self.set_listener(id, setup);
        let bound = listening(id, workers);
        let address = bound.address.socket_addr().unwrap();
        wait_for(self.accepting().add(bound)).unwrap();
        address
    }

    /// What accepts connections.
    pub fn accepting(&self) -> &AcceptHandle {
        self.accept.as_ref().unwrap()
    }

    /// Accepts no more and lets streams finish.
    pub fn drain(&mut self) {
        self.accept.take();
        self.workers.set_phase(RunPhase::Draining);
    }

    /// Waits until the workers have ended.
    pub fn ended(&mut self) {
        let ended = wait_for(async { tokio::time::timeout(PATIENCE, self.workers.ended()).await });
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
