//! What differs beside listeners, routers, clusters and modules.

use crate::{AdminConfig, Config};

/// A part of the configuration that is there once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessPart {
    /// `processor`
    Workers,
    /// `default_log_path`, `default_log_level`, `global_log_roller`
    Log,
    /// `graceful_timeout`
    GracefulTimeout,
    /// `drain_delay`
    DrainDelay,
    /// Where the admin interface listens.
    AdminAddress,
    /// Who may call it, and for what.
    AdminAccess,
    /// Pages of metrics beside it.
    MetricsSinks,
    /// What is left out of statistics.
    StatsMatcher,
    /// `overload`
    Overload,
    /// What `modules` says of trust.
    ModulePolicy,
}

pub(super) fn parts(running: &Config, wanted: &Config) -> Vec<ProcessPart> {
    let address = |admin: &AdminConfig| (admin.address.clone(), admin.socket_mode);
    let access = |admin: &AdminConfig| (admin.token.clone(), admin.hosts.clone(), admin.live_edit);
    let (old, new) = (running.admin.as_ref(), wanted.admin.as_ref());
    let differing = [
        (running.built_for != wanted.built_for, ProcessPart::Workers),
        (running.log != wanted.log, ProcessPart::Log),
        (running.graceful_timeout != wanted.graceful_timeout, ProcessPart::GracefulTimeout),
        (running.drain_delay != wanted.drain_delay, ProcessPart::DrainDelay),
        (old.map(address) != new.map(address), ProcessPart::AdminAddress),
        (old.map(access) != new.map(access), ProcessPart::AdminAccess),
        (running.metrics.sinks != wanted.metrics.sinks, ProcessPart::MetricsSinks),
        (running.metrics.matcher != wanted.metrics.matcher, ProcessPart::StatsMatcher),
        (running.overload != wanted.overload, ProcessPart::Overload),
        (running.module_policy != wanted.module_policy, ProcessPart::ModulePolicy),
    ];
    differing.into_iter().filter_map(|(differs, part)| differs.then_some(part)).collect()
}
