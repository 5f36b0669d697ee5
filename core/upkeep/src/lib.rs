//! What keeps clusters current while they serve: active health checks, the
//! return of ejected hosts, whether too few are left, and names that are
//! resolved again and again.
//!
//! ```text
//!             ┌─ checks ────▶ Host::set_health ───┐
//!  clusters ──┼─ ejections ─▶ review_ejections ───┼─▶ seen by workers at their next choice
//!             ├─ panics ────▶ review_panic
//!             └─ names ─────▶ Change ─▶ new Cluster ─▶ new snapshot
//! ```
//!
//! All of it runs as tasks of the control thread's runtime, never on a worker.

#![forbid(unsafe_code)]

mod checks;
mod ejections;
mod events;
mod names;
mod panics;
mod probe;
mod resolver;
mod task;

use std::sync::Arc;

use sidegate_api::Metrics;
use sidegate_telemetry::LogSinks;
use sidegate_upstream::{Cluster, HostConfig};

pub use names::resolve_once;

use checks::Checks;
use ejections::Ejections;
use names::Names;
use panics::Panics;

/// The upkeep of all clusters. Its tasks end when it is dropped.
#[derive(Debug)]
pub struct Upkeep {
    checks: Checks,
    ejections: Ejections,
    panics: Panics,
    names: Names,
}

/// The hosts of a cluster are others now.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Name of the cluster.
    pub cluster: Arc<str>,
    /// All its hosts.
    pub hosts: Vec<HostConfig>,
}

impl Upkeep {
    /// Takes care of nothing yet. Series are defined in `metrics`, event logs
    /// opened in `sinks`.
    pub fn new(metrics: Metrics, sinks: LogSinks) -> Self {
        Upkeep {
            checks: Checks::new(metrics, sinks),
            ejections: Ejections::default(),
            panics: Panics::default(),
            names: Names::default(),
        }
    }

    /// Takes care of exactly these clusters from now on. What it did for them
    /// before goes on where it was, unless their configuration is another. To
    /// be called within a runtime.
    pub fn adopt(&mut self, clusters: &[Arc<Cluster>]) {
        self.checks.adopt(clusters);
        self.ejections.adopt(clusters);
        self.panics.adopt(clusters);
        self.names.adopt(clusters);
    }

    /// Waits for the next change. Nothing is lost if the future is dropped.
    pub async fn changed(&mut self) -> Change {
        self.names.changed().await
    }
}
