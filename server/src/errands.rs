//! Modules' way to the workers' threads.

use sidegate_api::WorkerIndex;
use sidegate_generic_filter::{Errand, WorkerErrands};
use sidegate_net::Errands;
use sidegate_proxy::ProxyService;

/// Has what modules leave on a worker's thread taken back there.
pub(crate) struct ModuleErrands(pub(crate) Errands<ProxyService>);

impl WorkerErrands for ModuleErrands {
    fn run_on(&self, worker: WorkerIndex, errand: Errand) {
        self.0.run_on(worker, errand);
    }
}
