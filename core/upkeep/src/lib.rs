//! What keeps clusters current while they serve: active health checks, the
//! return of ejected hosts, whether too few are left, and names that are
//! resolved again and again.
//!
//! ```text
//!             ┌─ checks ────▶ Host::set_health ───┐
//!  clusters ──┼─ ejections ─▶ review_ejections ───┼─▶ seen by workers at their next choice
//!             ├─ panics ────▶ review_panic
//!             └─ names ─────▶ Change ─▶ new Cluster ─▶ workers
//! ```
//!
//! All of it runs as tasks of the control thread's runtime, never on a worker.

#![forbid(unsafe_code)]

mod checks;
mod ejections;
mod events;
mod first;
mod names;
mod panics;
mod probe;
mod resolver;
mod task;

use std::sync::Arc;

use sidegate_api::Metrics;
use sidegate_telemetry::LogSinks;
use sidegate_upstream::{Cluster, HostConfig};

pub use first::check_first;
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

    /// Takes care of this cluster too, or of what it is from now on. What was
    /// done for it before goes on where it was, unless its configuration is
    /// another. To be called within a runtime. Its cost is in the cluster's
    /// hosts, however many clusters there are.
    pub fn adopt_one(&mut self, cluster: &Arc<Cluster>) {
        self.checks.adopt_one(cluster);
        self.ejections.adopt_one(cluster);
        self.panics.adopt_one(cluster);
        self.names.adopt_one(cluster);
    }

    /// Takes care of the cluster of this name no more.
    pub fn forget(&mut self, cluster: &str) {
        self.checks.forget(cluster);
        self.ejections.forget(cluster);
        self.panics.forget(cluster);
        self.names.forget(cluster);
    }

    /// Waits for the next change. Nothing is lost if the future is dropped.
    pub async fn changed(&mut self) -> Change {
        self.names.changed().await
    }
}
