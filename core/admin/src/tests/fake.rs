//! A proxy that only pretends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sidegate_api::{
    GenerationState, GenerationStatus, HookStatus, LimitKeeper, Metrics, ModuleStatus, PluginLimit, PluginLimits,
    PluginPhase, PluginStatus, QuarantinePhase, QuarantineStatus,
};
use sidegate_telemetry::{LogLevel, LogSwitch, Stats, StatsMatcher, collect};

use crate::{AdminSource, Change as Order, ChangeOutcome, Changed, Pending, PluginSwitch};
use crate::{ClusterStatus, ConfigDumpQuery, HostStatus, RunState, SourceError, WorkerHangs};

#[derive(Debug)]
pub(super) struct Fake {
    metrics: Metrics,
    state: Mutex<RunState>,
    hangs: Mutex<WorkerHangs>,
    changes: Mutex<Vec<Change>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Level(LogLevel),
    Switch(LogSwitch),
    Plugin(PluginSwitch),
}

impl Fake {
    pub(super) fn new() -> Arc<Self> {
        let metrics = Metrics::new(1);
        metrics.counter("downstream_request_total", &[("listener", "in")]).unwrap().add(3);
        metrics.up_down("downstream_request_active", &[("listener", "in")]).unwrap().inc();
        Arc::new(Fake {
            metrics,
            state: Mutex::new(RunState::Running),
            hangs: Mutex::default(),
            changes: Mutex::default(),
        })
    }

    /// Has series of so many hosts, with 18 lines each.
    pub(super) fn with_hosts(self: Arc<Self>, hosts: usize) -> Arc<Self> {
        for host in 0..hosts {
            let host = format!("10.0.{}.{}:80", host / 256, host % 256);
            self.metrics.histogram("upstream_request_duration_time", &[("cluster", "c"), ("host", &host)]).unwrap();
        }
        self
    }

    pub(super) fn set_state(&self, state: RunState) {
        *self.state.lock().unwrap() = state;
    }

    pub(super) fn set_hangs(&self, workers: usize, hanging: &[&str]) {
        let hanging = hanging.iter().map(|name| (*name).to_owned()).collect();
        *self.hangs.lock().unwrap() = WorkerHangs { workers, hanging };
    }

    pub(super) fn changes(&self) -> Vec<Change> {
        self.changes.lock().unwrap().clone()
    }

    fn change(&self, path: &str, change: Change) -> Result<(), SourceError> {
        if path != "stderr" {
            return Err(SourceError::NotFound(format!("no log `{path}`")));
        }
        self.changes.lock().unwrap().push(change);
        Ok(())
    }
}

impl AdminSource for Fake {
    fn version(&self) -> String {
        "9.8.7".to_owned()
    }

    fn config_dump(&self, query: &ConfigDumpQuery) -> Result<Value, SourceError> {
        match query {
            ConfigDumpQuery::Router(name) => Err(SourceError::NotFound(format!("no router `{name}`"))),
            query => Ok(json!({ "query": format!("{query:?}") })),
        }
    }

    fn stats(&self) -> Stats {
        collect(&self.metrics, &StatsMatcher::default())
    }

    fn clusters(&self) -> Vec<ClusterStatus> {
        let host = |address: &str, failed_check, ejected| HostStatus {
            address: address.to_owned(),
            hostname: Some("h".to_owned()),
            weight: 3,
            failed_check,
            ejected,
            drained: false,
            active_requests: 2,
            active_connections: 1,
        };
        let hosts = vec![host("10.0.0.1:80", false, false), host("10.0.0.2:80", false, true)];
        vec![
            ClusterStatus { name: "a".to_owned(), hosts, live_edit: None },
            ClusterStatus {
                name: "b".to_owned(),
                hosts: vec![host("10.0.0.3:80", true, false)],
                live_edit: Some(json!({ "edits": 1 })),
            },
        ]
    }

    fn cluster(&self, name: &str) -> Option<(ClusterStatus, String)> {
        let known = self.clusters().into_iter().find(|cluster| cluster.name == name)?;
        Some((known, "7f".to_owned()))
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(61_900)
    }

    fn run_state(&self) -> RunState {
        *self.state.lock().unwrap()
    }

    fn hangs(&self) -> WorkerHangs {
        self.hangs.lock().unwrap().clone()
    }

    fn certs(&self) -> Value {
        json!({ "certs": [{ "listener": "in", "context": 0 }, { "cluster": "a" }, { "cluster": "b" }] })
    }

    fn modules(&self) -> Vec<ModuleStatus> {
        vec![ModuleStatus {
            name: "auth".to_owned(),
            file: "/m/libauth.so".to_owned(),
            sha256: "ab12".to_owned(),
            abi: "1.0".to_owned(),
            version: "0.3".to_owned(),
            generation: 2,
            filters: vec!["auth".to_owned()],
            streams: 5,
            faults: 1,
            hooks: vec![HookStatus {
                filter: "auth".to_owned(),
                hook: "on_request_headers",
                calls: 640,
                total: Duration::from_millis(500),
                longest: Duration::from_millis(250),
                slow: 3,
            }],
            quarantine: vec![QuarantineStatus {
                filter: "auth".to_owned(),
                phase: QuarantinePhase::Out,
                left: Some(Duration::from_millis(1500)),
            }],
            generations: vec![GenerationStatus {
                generation: 1,
                sha256: "cd34".to_owned(),
                state: GenerationState::Draining,
                filters: vec!["auth".to_owned()],
                streams: 3,
                resume_handles: 2,
                threads: 1,
                reason: None,
            }],
        }]
    }

    fn plugins(&self) -> Vec<PluginStatus> {
        vec![PluginStatus {
            name: "checker".to_owned(),
            runs: "/p/checker".to_owned(),
            enabled: true,
            phase: PluginPhase::Up,
            since: Duration::from_millis(2500),
            pid: Some(7),
            address: Some("unix:/tmp/plugin1".to_owned()),
            healthy: Some(true),
            restarts: 1,
            calls: 20,
            failures: 2,
            in_flight: 3,
            limits: Some(PluginLimits {
                cgroup: None,
                memory: Some(PluginLimit { value: 67_108_864.0, by: LimitKeeper::Watch }),
                cpus: Some(PluginLimit { value: 1.5, by: LimitKeeper::Cgroup }),
                tasks: None,
            }),
            last_error: Some("it exited with code 1".to_owned()),
        }]
    }

    fn switch_plugin(&self, name: &str, to: PluginSwitch) -> Result<(), SourceError> {
        if name != "checker" {
            return Err(SourceError::NotFound(format!("no plugin is called {name:?}")));
        }
        self.changes.lock().unwrap().push(Change::Plugin(to));
        Ok(())
    }

    fn config_status(&self) -> Value {
        json!({ "number": 7 })
    }

    fn change(&self, change: Order) -> Pending<Changed> {
        let outcome = match &change {
            Order::Reload => ChangeOutcome::Done,
            Order::Rollback => ChangeOutcome::Conflict,
            Order::Module { name, .. } if name == "auth" => ChangeOutcome::Refused,
            Order::Module { name, .. } if name == "hung" => ChangeOutcome::Unavailable,
            Order::Module { .. } => ChangeOutcome::NotFound,
            Order::Host(edit) if edit.if_match.is_none() => ChangeOutcome::Done,
            Order::Host(_) => ChangeOutcome::Stale,
        };
        let body = [("asked".to_owned(), format!("{change:?}").into())].into_iter().collect();
        Box::pin(async move {
            // Not at once.
            tokio::time::sleep(Duration::from_millis(1)).await;
            Changed { outcome, body, etag: (outcome == ChangeOutcome::Done).then(|| "80".to_owned()) }
        })
    }

    fn diff(&self, document: Vec<u8>) -> Pending<Changed> {
        let body = [("bytes".to_owned(), document.len().into())].into_iter().collect();
        Box::pin(std::future::ready(Changed { outcome: ChangeOutcome::Done, body, etag: None }))
    }

    fn log_levels(&self) -> Vec<(String, LogLevel)> {
        vec![("stderr".to_owned(), LogLevel::Info)]
    }

    fn set_log_level(&self, path: &str, level: LogLevel) -> Result<(), SourceError> {
        self.change(path, Change::Level(level))
    }

    fn switch_log(&self, path: &str, to: LogSwitch) -> Result<(), SourceError> {
        self.change(path, Change::Switch(to))
    }
}
