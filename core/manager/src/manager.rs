//! The thread that changes what runs: one change at a time, and hosts between
//! them.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use sidegate_api::{MetricError, Metrics};
use sidegate_net::{AcceptHandle, ListenerId, ListenerIds, Workers};
use sidegate_proxy::ProxyService;
use sidegate_telemetry::LogSinks;
use sidegate_upkeep::{Change as HostChange, Upkeep};
use sidegate_upstream::{Cluster, ClusterConfig, HostRegistry};
use tokio::sync::{mpsc, oneshot};

use crate::certificates::{CertificateFiles, Certificates, News};
use crate::change::{Aim, Change, Tools};
use crate::clusters::Clusters;
use crate::drain::Drains;
use crate::handle::{Answer, Applied, Ended, ManagerHandle, Order};
use crate::history::{History, Version};
use crate::loading::{Loaded, Loading, Queue};
use crate::meters::Meters;
use crate::running::{Running, RunningListener, socket_of};
use crate::sockets::{Socket, SocketPlan};
use crate::steps::carry_out;
use crate::{Board, Changing, Fronts, Origin, Refused, Source, Update, Why};

mod edits;
mod renewal;

use edits::Checking;

/// What the process began with, and what changes it from then on.
#[derive(Debug)]
pub struct Start<S: Source, F> {
    /// They serve already.
    pub workers: Workers<ProxyService>,
    /// How many they are.
    pub worker_count: usize,
    /// It accepts already.
    pub accepting: AcceptHandle,
    /// Those of the listeners were taken from it.
    pub ids: ListenerIds,
    /// The clusters were made with it.
    pub hosts: HostRegistry,
    /// For series of changes and of upkeep.
    pub metrics: Metrics,
    /// For logs of upkeep.
    pub sinks: LogSinks,
    /// Where configurations come from.
    pub source: S,
    /// What serves beside the listeners.
    pub fronts: F,
    /// The listeners, in configured order.
    pub listeners: Vec<RunningListener>,
    /// The other sockets, with their real addresses.
    pub front_sockets: Vec<Socket>,
    /// The clusters, in configured order.
    pub clusters: Vec<Arc<Cluster>>,
    /// How files of TLS are followed; `None`: they are not.
    pub certificates: Option<CertificateFiles>,
    /// What was read.
    pub document: S::Document,
    /// What everybody may look at.
    pub board: Arc<Board>,
}

/// The manager cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system has no thread for it.
    #[error("cannot start the manager: {0}")]
    Thread(#[from] io::Error),
    /// Its metrics cannot be defined.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

impl<S: Source, F: Fronts<Settings = S::Settings>> Start<S, F> {
    /// Begins to manage, on a thread of its own.
    pub fn manage(mut self) -> Result<ManagerHandle, StartError> {
        let meters = Meters::new(&self.metrics)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (orders, inbox) = mpsc::unbounded_channel();
        // Shown before anybody can look.
        // The thread that follows files does not keep the manager.
        let door = orders.downgrade();
        let changed = move || {
            if let Some(orders) = door.upgrade() {
                // An error means that the manager is gone.
                let _ = orders.send(Order::Certificates);
            }
        };
        let certificates = Certificates::new(self.certificates.take(), changed, &self.metrics)?;
        let manager = Manager::new(self, meters, certificates);
        std::thread::Builder::new().name("manager".into()).spawn(move || runtime.block_on(manager.run(inbox)))?;
        Ok(ManagerHandle { orders })
    }
}

struct Manager<S: Source, F> {
    tools: Tools<F>,
    running: Running,
    history: History<S::Document>,
    source: Arc<Mutex<S>>,
    board: Arc<Board>,
    drains: Drains,
    meters: Meters,
    queue: Queue<S>,
    checking: Checking,
    certificates: Certificates,
    is_draining: bool,
}

impl<S: Source, F: Fronts<Settings = S::Settings>> Manager<S, F> {
    fn new(start: Start<S, F>, mut meters: Meters, certificates: Certificates) -> Self {
        let upkeep = Upkeep::new(start.metrics, start.sinks);
        let history = History::begin(start.source.digest(&start.document), start.document);
        let running = Running {
            listeners: start.listeners,
            fronts: start.front_sockets,
            clusters: Clusters::new(start.clusters),
        };
        meters.runs(history.running());
        let mut manager = Manager {
            tools: Tools {
                workers: Arc::new(start.workers),
                worker_count: start.worker_count,
                accepting: start.accepting,
                ids: start.ids,
                hosts: start.hosts,
                upkeep,
                fronts: start.fronts,
            },
            running,
            history,
            source: Arc::new(Mutex::new(start.source)),
            board: start.board,
            drains: Drains::default(),
            meters,
            queue: Queue::default(),
            checking: Checking::default(),
            certificates,
            is_draining: false,
        };
        manager.show();
        manager.certificates.look_at(&manager.running);
        manager
    }

    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        for cluster in self.running.clusters.all() {
            self.tools.upkeep.adopt_one(cluster);
        }
        let ended = loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Change(update, origin, answer)) => self.ordered(update, origin, answer),
                    Some(Order::Certificates) => self.certificates.read(&self.running),
                    Some(Order::Drain) => self.is_draining = true,
                    Some(Order::End(ended)) => break Some(ended),
                    None => break None,
                },
                change = self.tools.upkeep.changed() => self.change_hosts(change),
                (loading, loaded) = self.queue.loaded() => self.came(loading, loaded).await,
                news = self.certificates.next() => match news {
                    News::Remade(remade) => self.take_certificates(remade),
                    News::Day => self.certificates.complain(&self.running),
                },
                checked = self.checking.next() => self.checked(checked),
            }
            self.drains.reap();
        };
        self.drains.end().await;
        let Manager {
            tools: Tools { workers, accepting, hosts, upkeep, fronts, .. }, running, history, source, ..
        } = self;
        // Factories go before somebody waits for their modules.
        drop((hosts, upkeep, fronts, running, history, source));
        if let Some(ended) = ended {
            let _ = ended.send(Ended { workers: Arc::try_unwrap(workers).ok(), accepting });
        }
    }

    /// A change is asked for: it begins, waits, or is refused.
    fn ordered(&mut self, update: Update, origin: Origin, answer: oneshot::Sender<Answer>) {
        if self.is_draining {
            let refused = Refused::because(Why::Draining, "the process is draining: nothing is changed any more");
            return self.refuse(&update, origin, vec![answer], refused);
        }
        let update = match update {
            Update::Hosts(edit) => return self.asked_to_edit(edit, answer),
            other => other,
        };
        if let Some(loading) = self.queue.put(update, origin, answer) {
            match loading {
                Ok(loading) => self.begin(loading),
                Err((update, answer)) => {
                    let refused = Refused::because(Why::Busy, "another change is being made; try again");
                    self.refuse(&update, origin, vec![answer], refused);
                }
            }
        }
    }

    fn begin(&mut self, loading: Loading) {
        let document = match &loading.update {
            // Hosts wait for nothing that is read.
            Update::Reload | Update::Hosts(_) => None,
            Update::Rollback => match self.history.former() {
                Some((_, document)) => Some(document.clone()),
                None => {
                    let refused = Refused::because(Why::NothingBefore, "there is no configuration to go back to");
                    return self.refuse(&loading.update, loading.origin, loading.answers, refused);
                }
            },
            Update::Module(_) => Some(self.history.document().clone()),
        };
        self.tools.fronts.changing(Changing::Begins);
        self.queue.begin(loading, document, self.source.clone());
    }

    fn refuse(&self, update: &Update, origin: Origin, answers: Vec<oneshot::Sender<Answer>>, refused: Refused) {
        self.tell(update, origin, answers, Err(Arc::new(refused)));
    }

    /// Something was read and made, or not.
    async fn came(&mut self, loading: Loading, loaded: Result<Loaded<S>, Refused>) {
        let answer = match loaded {
            Ok(loaded) if self.is_draining => {
                drop(loaded);
                self.with_source(S::given_up);
                Err(Refused::because(Why::Draining, "the process is draining: nothing is changed any more"))
            }
            Ok(loaded) => self.take(&loading, loaded).await,
            Err(refused) => {
                self.with_source(S::given_up);
                Err(refused)
            }
        };
        self.tools.fronts.changing(Changing::Ends);
        let Loading { update, origin, answers } = loading;
        self.tell(&update, origin, answers, answer.map(Arc::new).map_err(Arc::new));
        if let Some(next) = self.queue.next() {
            self.begin(next);
        }
    }

    /// Takes what was made, whole or not at all.
    async fn take(&mut self, loading: &Loading, loaded: Loaded<S>) -> Result<Applied, Refused> {
        let Loaded { document, digest, whole } = loaded;
        // The file is the same for a module, and so are edits beside it.
        let edits_dropped = match &loading.update {
            Update::Module(_) => Vec::new(),
            _ => self.running.clusters.edited(),
        };
        let is_same_file = whole.is_same && digest == self.history.running().digest;
        if is_same_file && edits_dropped.is_empty() {
            self.with_source(S::unchanged);
            return Ok(Applied {
                version: self.history.running().clone(),
                unchanged: true,
                changes: whole.changes,
                summary: whole.summary,
                draining: Vec::new(),
                warnings: whole.warnings,
                edits_dropped,
                hosts: None,
            });
        }
        let listeners = whole.listeners.iter().map(|listener| socket_of(&listener.net));
        let wanted: Vec<Socket> = listeners.chain(whole.fronts.iter().cloned()).collect();
        let plan = SocketPlan::new(&self.running.sockets(), &wanted);
        let mut clusters = whole.clusters;
        if let Update::Module(_) = &loading.update {
            self.running.clusters.keep_edits(&mut clusters);
        }
        let clusters = self.running.clusters.plan(clusters);
        let mut gone: Vec<(ListenerId, Arc<str>)> = Vec::new();
        let mut drop_listener = |id, name| gone.push((id, name));
        let hand_over = hand_over(self.source.clone());
        let aim = Aim { listeners: &whole.listeners, settings: &whole.settings, sockets: &wanted, plan: &plan };
        let mut change =
            Change::new(&mut self.tools, &self.running, &aim, clusters, Box::pin(hand_over), &mut drop_listener);
        let done = carry_out(&plan, &mut change).await;
        let running = done.map(|()| change.outcome(&plan));
        let patience = whole.graceful_timeout;
        let draining = gone.iter().map(|(id, name)| (name.clone(), self.tools.workers.listener_connections(*id)));
        let draining = draining.collect();
        for (id, name) in gone {
            self.drains.begin(id, name, patience, self.tools.workers.clone(), self.board.clone());
        }
        match running {
            Ok(mut running) => {
                if let Update::Module(_) = &loading.update {
                    running.clusters = running.clusters.with_edits_of(&self.running.clusters);
                }
                self.running = running;
            }
            Err(refused) => {
                self.tools.fronts.give_up();
                self.with_source(S::given_up);
                return Err(refused);
            }
        }
        self.tools.fronts.take(whole.settings);
        self.with_source(S::taken);
        let version = match &loading.update {
            Update::Reload | Update::Hosts(_) if is_same_file => self.history.retook(loading.origin),
            Update::Reload | Update::Hosts(_) => self.history.took(digest, document, loading.origin),
            Update::Rollback => self.history.went_back(loading.origin),
            Update::Module(wish) => self.history.renewed(wish.module.clone(), loading.origin),
        };
        let version = version.clone();
        self.show();
        self.certificates.look_at(&self.running);
        self.certificates.complain(&self.running);
        self.meters.runs(&version);
        self.meters.edited(self.running.clusters.edited().len());
        self.tools.hosts.sweep();
        let mut summary = whole.summary;
        if !edits_dropped.is_empty() {
            summary.push_str(&format!("; live edits of hosts are gone: {}", edits_dropped.join(", ")));
        }
        Ok(Applied {
            version,
            unchanged: false,
            changes: whole.changes,
            summary,
            draining,
            warnings: whole.warnings,
            edits_dropped,
            hosts: None,
        })
    }

    /// One cluster has other hosts.
    fn change_hosts(&mut self, change: HostChange) {
        let Some(known) = self.running.clusters.get(&change.cluster) else { return };
        let config = ClusterConfig { hosts: change.hosts, ..known.config().clone() };
        let addresses: Vec<_> = config.hosts.iter().map(|host| host.address.to_string()).collect();
        match Cluster::new(config, &self.tools.hosts) {
            Ok(cluster) => {
                let cluster = Arc::new(cluster);
                tracing::info!(cluster = &*change.cluster, hosts = addresses.join(" "), "hosts changed");
                self.running.clusters.replace(cluster.clone());
                self.tools.upkeep.adopt_one(&cluster);
                self.board.replace_cluster(cluster.clone());
                let update = sidegate_proxy::Update::Cluster(change.cluster, Some(cluster));
                // Nobody waits for that.
                let _ = self.tools.workers.publish(Arc::new(update));
                // What the hosts before held is gone by now, most likely; what
                // is not goes with the next change.
                self.tools.hosts.sweep();
            }
            Err(error) => tracing::error!(cluster = &*change.cluster, %error, "hosts stay as they were"),
        }
    }

    fn show(&self) {
        self.board.set_listeners(self.running.shown());
        self.board.set_clusters(self.running.clusters.clone());
        let versions: Vec<(Version, bool)> =
            self.history.shown().map(|(version, kept)| (version.clone(), kept)).collect();
        self.board.set_versions(self.history.running().clone(), versions);
    }

    fn with_source(&self, act: fn(&mut S)) {
        // Nobody loads now.
        act(&mut self.source.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Log, metrics and all who wait hear what came of it.
    fn tell(&self, update: &Update, origin: Origin, answers: Vec<oneshot::Sender<Answer>>, answer: Answer) {
        self.meters.came_to(update, &answer);
        let origin = origin.name();
        match &answer {
            Ok(applied) if applied.unchanged => {
                tracing::info!(origin, number = applied.version.number, "configuration read again: nothing differs");
            }
            Ok(applied) => {
                let reason = applied.version.reason.name();
                let number = applied.version.number;
                tracing::info!(origin, reason, number, "configuration taken: {}", applied.summary);
            }
            Err(refused) if refused.why == Why::Superseded => {
                tracing::debug!(origin, "files changed while they were read; they are read again");
            }
            Err(refused) => {
                for finding in &refused.errors {
                    tracing::error!(origin, why = refused.why.name(), "refused: {}", finding.text);
                }
                let more = refused.errors_omitted;
                tracing::error!(origin, ?update, more, "nothing was changed; the configuration before runs on");
            }
        }
        for waiter in answers {
            // Who has left does not want to know.
            let _ = waiter.send(answer.clone());
        }
    }
}

/// Lets filters take over what those before them know, on a thread of its own:
/// foreign code runs there.
async fn hand_over<S: Source>(source: Arc<Mutex<S>>) {
    let (done, wait) = oneshot::channel();
    let spawned = std::thread::Builder::new().name("hand-over".into()).spawn(move || {
        source.lock().unwrap_or_else(PoisonError::into_inner).hand_over();
        let _ = done.send(());
    });
    match spawned {
        Ok(_) => drop(wait.await),
        Err(error) => tracing::error!(%error, "filters begin with nothing: no thread to hand over what they know"),
    }
}
