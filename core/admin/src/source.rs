//! What the admin interface asks the rest of the proxy.

use std::pin::Pin;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sidegate_api::{Address, LbMetadata, ModuleStatus, PluginStatus};
use sidegate_telemetry::{LogLevel, LogSwitch, Stats};

/// The proxy as the admin interface sees it. Methods are called on the control
/// runtime and must not block for long.
pub trait AdminSource: Send + Sync {
    /// Version of the proxy.
    fn version(&self) -> String {
        sidegate_api::VERSION.to_owned()
    }

    /// The configuration that runs, or a part of it, without secrets.
    fn config_dump(&self, query: &ConfigDumpQuery) -> Result<Value, SourceError>;

    /// The statistics that are to be shown.
    fn stats(&self) -> Stats;

    /// The clusters and their hosts as they are now.
    fn clusters(&self) -> Vec<ClusterStatus>;

    /// The cluster of this name, and what its hosts are edited against.
    fn cluster(&self, name: &str) -> Option<(ClusterStatus, String)>;

    /// How long the process runs.
    fn uptime(&self) -> Duration;

    /// What the process is doing.
    fn run_state(&self) -> RunState;

    /// Which workers hang, and how many there are.
    fn hangs(&self) -> WorkerHangs;

    /// The modules that are loaded.
    fn modules(&self) -> Vec<ModuleStatus>;

    /// Certificates, CAs and lists of revoked certificates in use: `certs`, an
    /// array whose entries have `listener` or `cluster`.
    fn certs(&self) -> Value;

    /// The plugins that are processes of their own.
    fn plugins(&self) -> Vec<PluginStatus>;

    /// Starts or stops a plugin, whatever configurations say.
    fn switch_plugin(&self, name: &str, to: PluginSwitch) -> Result<(), SourceError>;

    /// The configuration that runs, by number, digest and time, and those
    /// before it.
    fn config_status(&self) -> Value;

    /// Orders a change. It is made whether or not anybody waits.
    fn change(&self, change: Change) -> Pending<Changed>;

    /// What taking this configuration would change; an empty one is that of the
    /// file.
    fn diff(&self, document: Vec<u8>) -> Pending<Changed>;

    /// Path and level of each log that has a level.
    fn log_levels(&self) -> Vec<(String, LogLevel)>;

    /// Changes the level of the log at `path`.
    fn set_log_level(&self, path: &str, level: LogLevel) -> Result<(), SourceError>;

    /// Switches the log at `path`, access logs included.
    fn switch_log(&self, path: &str, to: LogSwitch) -> Result<(), SourceError>;
}

/// What is done to a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginSwitch {
    /// It runs.
    Enable,
    /// It does not, and calls of it fail.
    Disable,
}

/// Work that ends with a `T`, done elsewhere.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A change of what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The configuration is read again.
    Reload,
    /// What ran before runs again.
    Rollback,
    /// A module is loaded anew.
    Module {
        /// Its name.
        name: String,
        /// A former generation, by its digest; `None`: what the file holds now.
        sha256: Option<[u8; 32]>,
    },
    /// A host of a cluster is edited.
    Host(HostEdit),
}

/// An edit of one host, until the next reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEdit {
    /// Name of the cluster.
    pub cluster: String,
    /// What the hosts are to be before; `None`: anything.
    pub if_match: Option<Vec<String>>,
    /// Where the host is.
    pub address: Address,
    /// What is done to it.
    pub deed: HostDeed,
    /// Who does it.
    pub editor: String,
}

/// What is done to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostDeed {
    /// It comes.
    Add {
        /// Its share of the requests; `None`: 1.
        weight: Option<u64>,
        /// Its name, if it has one.
        hostname: Option<String>,
        /// What subsets are made of.
        metadata: LbMetadata,
    },
    /// It is used otherwise; `None`: as before.
    Set {
        /// Its share of the requests.
        weight: Option<u64>,
        /// Whether it gets no new ones.
        drained: Option<bool>,
    },
    /// It goes.
    Remove,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// Whether it was made.
    pub outcome: ChangeOutcome,
    /// What is told of it.
    pub body: Map<String, Value>,
    /// What hosts are edited against from now on, if it was an edit.
    pub etag: Option<String>,
}

/// Whether a change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// What was asked for runs.
    Done,
    /// What is asked for is not there.
    NotFound,
    /// It was meant for what is not so any more.
    Stale,
    /// Something else is being changed, or is in the way.
    Conflict,
    /// What was asked for makes no sense or cannot be had; all is as before.
    Refused,
    /// Nothing can be changed now.
    Unavailable,
}

/// A cluster and its hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterStatus {
    /// Its name.
    pub name: String,
    /// All that it has now, those that may not be chosen included.
    pub hosts: Vec<HostStatus>,
    /// How they differ from those of the file, if they were edited.
    pub live_edit: Option<Value>,
}

/// How a host fares.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostStatus {
    /// Where it is.
    pub address: String,
    /// Its name, if it has one.
    pub hostname: Option<String>,
    /// Its share of the requests.
    pub weight: u32,
    /// Active health checks keep it from being chosen.
    pub failed_check: bool,
    /// It was ejected for its answers.
    pub ejected: bool,
    /// It gets no new requests, however it is.
    pub drained: bool,
    /// Requests in progress.
    pub active_requests: u64,
    /// Connections open.
    pub active_connections: u64,
}

impl ClusterStatus {
    /// As pages show it.
    pub fn to_json(&self) -> Map<String, Value> {
        let healthy = self.hosts.iter().filter(|host| host.is_healthy() && !host.drained).count();
        let hosts: Vec<Value> = self.hosts.iter().map(HostStatus::to_json).collect();
        let mut shown = Map::new();
        shown.insert("total".to_owned(), hosts.len().into());
        shown.insert("healthy".to_owned(), healthy.into());
        if let Some(edits) = &self.live_edit {
            shown.insert("live_edit".to_owned(), edits.clone());
        }
        shown.insert("hosts".to_owned(), hosts.into());
        shown
    }
}

impl HostStatus {
    /// Whether nothing is known against it.
    pub fn is_healthy(&self) -> bool {
        !self.failed_check && !self.ejected
    }

    /// As pages show it.
    pub fn to_json(&self) -> Value {
        json!({
            "address": self.address,
            "hostname": self.hostname,
            "weight": self.weight,
            "healthy": self.is_healthy(),
            "failed_check": self.failed_check,
            "ejected": self.ejected,
            "drained": self.drained,
            "active_requests": self.active_requests,
            "active_connections": self.active_connections,
        })
    }
}

/// Which part of the configuration to dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigDumpQuery {
    /// Everything.
    All,
    /// What is neither listener, cluster nor router.
    MosnConfig,
    /// All routers.
    AllRouters,
    /// All clusters.
    AllClusters,
    /// All listeners.
    AllListeners,
    /// The router of this name.
    Router(String),
    /// The cluster of this name.
    Cluster(String),
    /// The listener of this name.
    Listener(String),
}

/// What the process is doing; the numbers are MOSN's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RunState {
    /// Not taking traffic yet.
    Starting = 4,
    /// Taking traffic.
    Running = 6,
    /// Finishing what is in progress, taking nothing new.
    Draining = 7,
    /// Ending now.
    Stopping = 8,
}

impl RunState {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            RunState::Starting => "starting",
            RunState::Running => "running",
            RunState::Draining => "draining",
            RunState::Stopping => "stopping",
        }
    }
}

/// Workers that hang.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerHangs {
    /// Workers there are.
    pub workers: usize,
    /// Those that hang: their names and where they are.
    pub hanging: Vec<String>,
}

impl WorkerHangs {
    /// Nothing is served: all of them hang.
    pub fn all(&self) -> bool {
        self.workers > 0 && self.hanging.len() >= self.workers
    }
}

/// A question or an order that the source refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Nothing has that name.
    #[error("{0}")]
    NotFound(String),
    /// It makes no sense.
    #[error("{0}")]
    BadRequest(String),
}
