//! What the admin interface sees of the process.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sidegate_admin::{
    AdminSource, Change, ChangeOutcome, Changed, ClusterStatus, ConfigDumpQuery, HostStatus, Pending, PluginSwitch,
    RunState, SourceError, WorkerHangs,
};
use sidegate_api::{Metrics, ModuleStatus, PluginStatus};
use sidegate_generic_filter::GenericFilter;
use sidegate_manager::{
    Board, HostsVersion, KEPT, ManagerHandle, ModuleWish, Origin, Refused, ShownCluster, Update, Why,
};
use sidegate_plugin::{PluginHost, Switched};
use sidegate_telemetry::{LogLevel, LogSinks, LogSwitch, LogTarget, Logging, Stats, StatsMatcher, collect};
use sidegate_upstream::{HostDuty, Member, Reason};
use sidegate_watch::{Role, threads};

use crate::certs::certs;
use crate::fronts::Patience;
use crate::hangs::whereabouts;
use crate::live_edit::hosts_edit;
use crate::plans::Plans;
use crate::running_config::RunningConfig;
use crate::source::Settings;

/// Who runs code that is not the proxy's.
pub(crate) struct Extensions {
    pub(crate) modules: Arc<GenericFilter>,
    pub(crate) plugins: PluginHost,
}

/// The running process.
pub(crate) struct Process {
    pub(crate) metrics: Metrics,
    pub(crate) modules: Arc<GenericFilter>,
    pub(crate) logging: Logging,
    pub(crate) sinks: LogSinks,
    pub(crate) board: Arc<Board>,
    /// What looks at configurations that do not run.
    pub(crate) plans: Plans,
    /// Plugins that are processes of their own.
    pub(crate) plugins: PluginHost,
    /// What changes everything, once it is there.
    manager: OnceLock<ManagerHandle>,
    state: AtomicU8,
    shown: Mutex<Shown>,
    started: Instant,
}

/// What the configuration says of what is shown, and of the end.
struct Shown {
    /// As read, without secrets.
    dump: Arc<Value>,
    matcher: StatsMatcher,
    patience: Patience,
}

impl Shown {
    fn of(settings: &Settings) -> Self {
        Shown {
            dump: Arc::new(settings.dump.clone()),
            matcher: settings.metrics.matcher.clone(),
            patience: Patience { graceful_timeout: settings.graceful_timeout, drain_delay: settings.drain_delay },
        }
    }
}

impl Process {
    pub(crate) fn new(
        settings: &Settings,
        metrics: Metrics,
        extensions: Extensions,
        logging: Logging,
        sinks: LogSinks,
        board: Arc<Board>,
        plans: Plans,
    ) -> Self {
        let Extensions { modules, plugins } = extensions;
        Process {
            metrics,
            modules,
            logging,
            sinks,
            board,
            plans,
            plugins,
            manager: OnceLock::new(),
            state: AtomicU8::new(RunState::Starting as u8),
            shown: Mutex::new(Shown::of(settings)),
            started: Instant::now(),
        }
    }

    /// Orders go there from now on.
    pub(crate) fn set_manager(&self, manager: ManagerHandle) {
        // There is one per process.
        let _ = self.manager.set(manager);
    }

    /// Another configuration runs.
    pub(crate) fn take(&self, settings: &Settings) {
        *self.shown() = Shown::of(settings);
    }

    pub(crate) fn set_state(&self, state: RunState) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// How long the end may take.
    pub(crate) fn patience(&self) -> Patience {
        self.shown().patience
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cluster_status(shown: &ShownCluster) -> ClusterStatus {
    let cluster = &shown.cluster;
    let serving = cluster.members().iter().map(|member| host_status(member, HostDuty::Serves));
    let drained = cluster.drained().iter().map(|member| host_status(member, HostDuty::Drained));
    ClusterStatus {
        name: cluster.name().to_string(),
        hosts: serving.chain(drained).collect(),
        live_edit: shown.edits.as_ref().map(|edits| edits.to_json(cluster)),
    }
}

fn host_status(member: &Member, duty: HostDuty) -> HostStatus {
    let host = &member.host;
    HostStatus {
        address: host.text().as_str().to_owned(),
        hostname: member.hostname.as_deref().map(str::to_owned),
        weight: member.weight.get(),
        failed_check: host.is_out_for(Reason::FailedCheck),
        ejected: host.is_out_for(Reason::Ejected),
        drained: duty == HostDuty::Drained,
        active_requests: host.active_requests(),
        active_connections: host.active_connections(),
    }
}

impl AdminSource for Process {
    fn config_dump(&self, query: &ConfigDumpQuery) -> Result<Value, SourceError> {
        let listeners = self.board.listeners();
        let listeners: Vec<_> =
            listeners.into_iter().map(|listener| (listener.name.to_string(), listener.bound)).collect();
        let document = self.shown().dump.clone();
        let running = RunningConfig {
            document: &document,
            version: self.board.running().map(|version| version.to_json()).unwrap_or_default(),
            clusters: &self.clusters(),
            listeners: &listeners,
            log_level: self.logging.level().as_str(),
        };
        running.answer(query)
    }

    fn clusters(&self) -> Vec<ClusterStatus> {
        self.board.clusters().iter().map(cluster_status).collect()
    }

    fn cluster(&self, name: &str) -> Option<(ClusterStatus, String)> {
        let shown = self.board.cluster(name)?;
        Some((cluster_status(&shown), HostsVersion::of(shown.cluster.config()).to_string()))
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    fn stats(&self) -> Stats {
        let matcher = self.shown().matcher.clone();
        collect(&self.metrics, &matcher)
    }

    fn run_state(&self) -> RunState {
        let state = self.state.load(Ordering::Acquire);
        let all = [RunState::Starting, RunState::Running, RunState::Draining];
        all.into_iter().find(|known| *known as u8 == state).unwrap_or(RunState::Stopping)
    }

    fn hangs(&self) -> WorkerHangs {
        let workers: Vec<_> = threads().into_iter().filter(|t| matches!(t.role, Role::Worker(_))).collect();
        let hanging = workers.iter().filter(|worker| worker.stuck).map(whereabouts).collect();
        WorkerHangs { workers: workers.len(), hanging }
    }

    fn modules(&self) -> Vec<ModuleStatus> {
        self.modules.modules()
    }

    fn certs(&self) -> Value {
        certs(&self.board)
    }

    fn plugins(&self) -> Vec<PluginStatus> {
        self.plugins.status()
    }

    fn switch_plugin(&self, name: &str, to: PluginSwitch) -> Result<(), SourceError> {
        let switched = match to {
            PluginSwitch::Enable => self.plugins.enable(name),
            PluginSwitch::Disable => self.plugins.disable(name),
        };
        match switched {
            Switched::Done => Ok(()),
            Switched::Unknown => Err(SourceError::NotFound(format!("no plugin is called {name:?}"))),
        }
    }

    fn config_status(&self) -> Value {
        let mut status = self.board.running().map(|version| version.to_json()).unwrap_or_default();
        let history = self.board.versions().into_iter().map(|(version, kept)| {
            let mut entry = version.to_json();
            entry.insert("kept".to_owned(), kept.into());
            Value::Object(entry)
        });
        let draining = self.board.draining().into_iter().map(|(name, _)| name.to_string());
        status.insert("draining".to_owned(), draining.collect());
        status.insert("history".to_owned(), history.collect());
        status.insert("history_kept".to_owned(), json!(KEPT));
        Value::Object(status)
    }

    fn change(&self, change: Change) -> Pending<Changed> {
        let Some(manager) = self.manager.get() else {
            let refused = Refused::because(Why::Draining, "the process does not serve yet");
            return Box::pin(std::future::ready(was_refused(&refused)));
        };
        let update = match change {
            Change::Reload => Update::Reload,
            Change::Rollback => Update::Rollback,
            Change::Module { name, sha256 } => Update::Module(ModuleWish { module: name, sha256 }),
            Change::Host(edit) => match hosts_edit(edit) {
                Ok(edit) => Update::Hosts(edit),
                Err(refused) => return Box::pin(std::future::ready(was_refused(&refused))),
            },
        };
        let answer = manager.apply(update, Origin::Admin);
        Box::pin(async move {
            match answer.await {
                Ok(applied) => Changed {
                    outcome: ChangeOutcome::Done,
                    body: applied.to_json(),
                    etag: applied.hosts.as_ref().map(ToString::to_string),
                },
                Err(refused) => was_refused(&refused),
            }
        })
    }

    fn diff(&self, document: Vec<u8>) -> Pending<Changed> {
        let planned = self.plans.diff(document);
        let edited = self.board.clusters().into_iter().filter(|shown| shown.edits.is_some());
        let edited: Vec<Value> = edited.map(|shown| shown.cluster.name().to_string().into()).collect();
        Box::pin(async move {
            match planned.await {
                Ok(mut body) => {
                    // A reload has the hosts of the file again.
                    body.insert("live_edits_dropped".to_owned(), edited.into());
                    Changed { outcome: ChangeOutcome::Done, body, etag: None }
                }
                Err(refused) => was_refused(&refused),
            }
        })
    }

    fn log_levels(&self) -> Vec<(String, LogLevel)> {
        vec![(self.logging.target().to_string(), self.logging.level())]
    }

    fn set_log_level(&self, path: &str, level: LogLevel) -> Result<(), SourceError> {
        if LogTarget::parse(path) != self.logging.target() {
            return Err(SourceError::NotFound(format!("no log with a level is written to {path:?}")));
        }
        self.logging.set_level(level);
        Ok(())
    }

    fn switch_log(&self, path: &str, to: LogSwitch) -> Result<(), SourceError> {
        let target = LogTarget::parse(path);
        let mut found = self.sinks.switch(&target, to).is_some();
        if target == self.logging.target() {
            self.logging.switch(to);
            found = true;
        }
        if found { Ok(()) } else { Err(SourceError::NotFound(format!("no log is written to {path:?}"))) }
    }
}

fn was_refused(refused: &Refused) -> Changed {
    let outcome = match refused.why {
        Why::Configuration | Why::NeedsRestart | Why::Environment | Why::NotEditable => ChangeOutcome::Refused,
        Why::Busy | Why::NothingBefore | Why::Superseded | Why::Exists => ChangeOutcome::Conflict,
        Why::Stale => ChangeOutcome::Stale,
        Why::NotFound => ChangeOutcome::NotFound,
        Why::Draining | Why::Hung => ChangeOutcome::Unavailable,
    };
    Changed { outcome, body: refused.to_json(), etag: None }
}
