//! How plugins do that are processes of their own, for the admin page.

use std::time::Duration;

/// One plugin: a program that this process started, or an address it connects
/// to.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// What went wrong last.
    pub last_error: Option<String>,
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
