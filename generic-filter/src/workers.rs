//! Reaching the workers: what a generation leaves on their threads is taken
//! back there.

use std::fmt;
use std::sync::{Arc, OnceLock};

use sidegate_api::WorkerIndex;

/// Something to do on a worker's thread.
pub type Errand = Box<dyn FnOnce() + Send>;

/// Runs errands on workers, between polls of their streams, so that no hook is
/// on the stack. An errand of a worker that has ended is dropped.
pub trait WorkerErrands: Send + Sync {
    /// Has `errand` run on that worker's thread, some time.
    fn run_on(&self, worker: WorkerIndex, errand: Errand);
}

/// The workers, once there are some.
#[derive(Clone, Default)]
pub(crate) struct Workers(Arc<OnceLock<Arc<dyn WorkerErrands>>>);

impl Workers {
    /// Those that are served from now on. The first ones stay.
    pub(crate) fn set(&self, workers: Arc<dyn WorkerErrands>) {
        let _ = self.0.set(workers);
    }

    /// Has `errand` run on a worker; where none can be reached it is dropped.
    pub(crate) fn run_on(&self, worker: usize, errand: Errand) {
        if let Some(workers) = self.0.get() {
            workers.run_on(WorkerIndex(worker), errand);
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Workers").field(&self.0.get().is_some()).finish()
    }
}
