//! How filters of modules do, for the admin page.

use std::time::Duration;

/// One hook of a filter of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookStatus {
    /// The filter.
    pub filter: String,
    /// As the module ABI calls it.
    pub hook: &'static str,
    /// Calls, as far as that is known from streams that stand for others.
    pub calls: u64,
    /// What they took together, as far.
    pub total: Duration,
    /// The longest of those that were looked at; all slow ones are.
    pub longest: Duration,
    /// Calls that took longer than `slow_hook`: all of them.
    pub slow: u64,
}

/// A filter that may come into quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineStatus {
    /// The filter.
    pub filter: String,
    /// Where it is.
    pub phase: QuarantinePhase,
    /// Until that changes by itself; `None`: it does not.
    pub left: Option<Duration>,
}

/// Where a filter is between service and quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantinePhase {
    /// In service.
    Serving,
    /// In quarantine.
    Out,
    /// One stream tries it.
    Trying,
    /// In service again; the next fault is one too many.
    OnTrial,
}

impl QuarantinePhase {
    /// Its name on the admin page.
    pub fn name(self) -> &'static str {
        match self {
            QuarantinePhase::Serving => "serving",
            QuarantinePhase::Out => "quarantined",
            QuarantinePhase::Trying => "trying",
            QuarantinePhase::OnTrial => "on_trial",
        }
    }
}
