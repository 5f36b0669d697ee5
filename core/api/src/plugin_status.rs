//! How plugins do that are processes of their own, for the admin page.

use std::time::Duration;

/// One plugin: a program that this process started, or an address it connects
/// to.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginStatus {
    /// Its name.
    pub name: String,
    /// The program with its arguments, or the address.
    pub runs: String,
    /// Whether nobody switched it off.
    pub enabled: bool,
    /// Where it is.
    pub phase: PluginPhase,
    /// How long it has been there.
    pub since: Duration,
    /// Process id, while there is one of ours.
    pub pid: Option<u32>,
    /// Where it listens, once that is known.
    pub address: Option<String>,
    /// What it says of its health; `None`: it does not say.
    pub healthy: Option<bool>,
    /// Starts after the first.
    pub restarts: u64,
    /// Calls that ended, well or not.
    pub calls: u64,
    /// Calls that did not end well.
    pub failures: u64,
    /// Calls in progress.
    pub in_flight: u64,
    /// What it may take of the machine; `None` while no process of ours runs.
    pub limits: Option<PluginLimits>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Bounds of one plugin's process and all it starts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PluginLimits {
    /// Folder of its cgroup, if it has one.
    pub cgroup: Option<String>,
    /// Bytes.
    pub memory: Option<PluginLimit>,
    /// Processors.
    pub cpus: Option<PluginLimit>,
    /// Processes and threads.
    pub tasks: Option<PluginLimit>,
}

/// A bound, and who keeps it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PluginLimit {
    /// How much there may be.
    pub value: f64,
    /// Who keeps it.
    pub by: LimitKeeper,
}

/// Who keeps a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitKeeper {
    /// The kernel, for a cgroup.
    Cgroup,
    /// The processors that it may use.
    Affinity,
    /// Looks at it now and then.
    Watch,
}

impl LimitKeeper {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            LimitKeeper::Cgroup => "cgroup",
            LimitKeeper::Affinity => "affinity",
            LimitKeeper::Watch => "watch",
        }
    }
}

/// Where in its life a plugin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PluginPhase {
    /// Being started, or connected to.
    Starting,
    /// Calls go there.
    Up,
    /// It failed; the next start is due later.
    Down,
    /// Switched off.
    Disabled,
    /// Not in use any more.
    Stopped,
}

impl PluginPhase {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            PluginPhase::Starting => "starting",
            PluginPhase::Up => "up",
            PluginPhase::Down => "down",
            PluginPhase::Disabled => "disabled",
            PluginPhase::Stopped => "stopped",
        }
    }
}
