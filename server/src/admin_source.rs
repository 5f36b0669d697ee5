//! What the admin interface sees of the process.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use sidegate_admin::{AdminSource, ClusterStatus, ConfigDumpQuery, HostStatus, RunState, SourceError, WorkerHangs};
use sidegate_api::{Metrics, ModuleStatus};
use sidegate_generic_filter::GenericFilter;
use sidegate_telemetry::{LogLevel, LogSinks, LogSwitch, LogTarget, Logging, Stats, StatsMatcher, collect};
use sidegate_upstream::{Cluster, Member, Reason};
use sidegate_watch::{Role, threads};

use crate::hangs::whereabouts;
use crate::running_config::RunningConfig;

/// The running process.
pub(crate) struct Process {
    pub(crate) dump: Value,
    pub(crate) metrics: Metrics,
    pub(crate) matcher: StatsMatcher,
    pub(crate) modules: Arc<GenericFilter>,
    pub(crate) logging: Logging,
    pub(crate) sinks: LogSinks,
    state: AtomicU8,
    clusters: Mutex<Vec<Arc<Cluster>>>,
    listeners: Mutex<Vec<(String, Option<String>)>>,
    started: Instant,
}

impl Process {
    pub(crate) fn new(
        dump: Value,
        metrics: Metrics,
        matcher: StatsMatcher,
        modules: Arc<GenericFilter>,
        logging: Logging,
        sinks: LogSinks,
    ) -> Self {
        Process {
            dump,
            metrics,
            matcher,
            modules,
            logging,
            sinks,
            state: AtomicU8::new(RunState::Starting as u8),
            clusters: Mutex::default(),
            listeners: Mutex::default(),
            started: Instant::now(),
        }
    }

    /// What serves from now on.
    pub(crate) fn set_clusters(&self, clusters: Vec<Arc<Cluster>>) {
        *self.clusters.lock().unwrap_or_else(PoisonError::into_inner) = clusters;
    }

    pub(crate) fn set_state(&self, state: RunState) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// Where listeners listen; `None` once they do not.
    pub(crate) fn set_listeners(&self, listeners: Vec<(String, Option<String>)>) {
        *self.listeners.lock().unwrap_or_else(PoisonError::into_inner) = listeners;
    }

    /// No listener is bound any more.
    pub(crate) fn listeners_closed(&self) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.iter_mut().for_each(|(_, bound)| *bound = None);
    }
}

fn host_status(member: &Member) -> HostStatus {
    let host = &member.host;
    HostStatus {
        address: host.text().as_str().to_owned(),
        hostname: member.hostname.as_deref().map(str::to_owned),
        weight: member.weight.get(),
        failed_check: host.is_out_for(Reason::FailedCheck),
        ejected: host.is_out_for(Reason::Ejected),
        active_requests: host.active_requests(),
        active_connections: host.active_connections(),
    }
}

impl AdminSource for Process {
    fn config_dump(&self, query: &ConfigDumpQuery) -> Result<Value, SourceError> {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let running = RunningConfig {
            document: &self.dump,
            clusters: &self.clusters(),
            listeners: &listeners,
            log_level: self.logging.level().as_str(),
        };
        running.answer(query)
    }

    fn clusters(&self) -> Vec<ClusterStatus> {
        let clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let status = |cluster: &Arc<Cluster>| ClusterStatus {
            name: cluster.name().to_string(),
            hosts: cluster.members().iter().map(host_status).collect(),
        };
        clusters.iter().map(status).collect()
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    fn stats(&self) -> Stats {
        collect(&self.metrics, &self.matcher)
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

    fn log_levels(&self) -> Vec<(String, LogLevel)> {
        vec![(self.logging.target().to_string(), self.logging.level())]
    }

    fn set_log_level(&self, path: &str, level: LogLevel) -> Result<(), SourceError> {
        if LogTarget::parse(path) != *self.logging.target() {
            return Err(SourceError::NotFound(format!("no log with a level is written to {path:?}")));
        }
        self.logging.set_level(level);
        Ok(())
    }

    fn switch_log(&self, path: &str, to: LogSwitch) -> Result<(), SourceError> {
        let target = LogTarget::parse(path);
        let mut found = self.sinks.switch(&target, to).is_some();
        if target == *self.logging.target() {
            self.logging.switch(to);
            found = true;
        }
        if found { Ok(()) } else { Err(SourceError::NotFound(format!("no log is written to {path:?}"))) }
    }
}
