//! What the admin interface sees of the process.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use sidegate_admin::{AdminSource, ConfigDumpQuery, RunState, SourceError, WorkerHangs};
use sidegate_api::{Metrics, ModuleStatus, Series};
use sidegate_generic_filter::GenericFilter;
use sidegate_telemetry::{LogLevel, LogSinks, LogSwitch, LogTarget, Logging, StatsMatcher, collect};
use sidegate_upstream::{Cluster, Health, Member, Reason};
use sidegate_watch::{Role, threads};

use crate::hangs::whereabouts;

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
        }
    }

    /// Whose hosts `allclusters` shows.
    pub(crate) fn set_clusters(&self, clusters: Vec<Arc<Cluster>>) {
        *self.clusters.lock().unwrap_or_else(PoisonError::into_inner) = clusters;
    }

    pub(crate) fn set_state(&self, state: RunState) {
        self.state.store(state as u8, Ordering::Release);
    }

    fn servers(&self) -> impl Iterator<Item = &Value> {
        self.dump.get("servers").and_then(Value::as_array).into_iter().flatten()
    }

    fn listeners(&self) -> Vec<&Value> {
        self.servers().filter_map(|s| s.get("listeners")?.as_array()).flatten().collect()
    }

    fn routers(&self) -> Vec<&Value> {
        self.servers().filter_map(|s| s.get("routers")?.as_array()).flatten().collect()
    }

    /// As configured, with all hosts there are now and how they are.
    fn clusters_now(&self) -> Vec<Value> {
        let now = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |name: &str| now.iter().find(|cluster| &**cluster.name() == name);
        let with_hosts = |configured: &Value| {
            let mut shown = configured.clone();
            if let Value::Object(object) = &mut shown
                && let Some(cluster) = object
                    .iter()
                    .find_map(|(key, v)| if key.eq_ignore_ascii_case("name") { of(v.as_str()?) } else { None })
            {
                object.insert("health".to_owned(), health(cluster));
            }
            shown
        };
        self.clusters().into_iter().map(with_hosts).collect()
    }

    fn clusters(&self) -> Vec<&Value> {
        let clusters = self.dump.get("cluster_manager").and_then(|m| m.get("clusters"));
        clusters.and_then(Value::as_array).into_iter().flatten().collect()
    }
}

/// Hosts of `cluster`: not in the configuration, hence under a key of its own.
fn health(cluster: &Cluster) -> Value {
    let host = |member: &Member| {
        let host = &member.host;
        json!({
            "address": host.text().as_str(),
            "healthy": host.health() == Health::Healthy,
            "failed_check": host.is_out_for(Reason::FailedCheck),
            "ejected": host.is_out_for(Reason::Ejected),
            "active_requests": host.active_requests(),
        })
    };
    cluster.members().iter().map(host).collect()
}

/// The entry whose `key` (in any case, as MOSN reads keys) is `name`.
fn named(entries: &[&Value], key: &str, name: &str, what: &str) -> Result<Value, SourceError> {
    let is_named = |entry: &&&Value| {
        let object = entry.as_object();
        object.is_some_and(|o| o.iter().any(|(k, v)| k.eq_ignore_ascii_case(key) && v.as_str() == Some(name)))
    };
    let found = entries.iter().find(is_named);
    found.map(|entry| (*entry).clone()).ok_or_else(|| SourceError::NotFound(format!("no {what} is called {name:?}")))
}

impl AdminSource for Process {
    fn config_dump(&self, query: &ConfigDumpQuery) -> Result<Value, SourceError> {
        Ok(match query {
            ConfigDumpQuery::All => json!({
                "mosn_config": self.dump,
                "listener": self.listeners(),
                "cluster": self.clusters(),
                "routers": self.routers(),
            }),
            ConfigDumpQuery::MosnConfig => self.dump.clone(),
            ConfigDumpQuery::AllRouters => json!(self.routers()),
            ConfigDumpQuery::AllClusters => json!(self.clusters_now()),
            ConfigDumpQuery::AllListeners => json!(self.listeners()),
            ConfigDumpQuery::Router(name) => named(&self.routers(), "router_config_name", name, "router")?,
            ConfigDumpQuery::Cluster(name) => {
                let clusters = self.clusters_now();
                named(&clusters.iter().collect::<Vec<_>>(), "name", name, "cluster")?
            }
            ConfigDumpQuery::Listener(name) => named(&self.listeners(), "name", name, "listener")?,
        })
    }

    fn stats(&self) -> Vec<Series> {
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
