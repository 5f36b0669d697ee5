//! A listener's filters on one worker: told once that it is there, and once
//! that it is gone, however often routes and clusters change between.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use sidegate_api::{FilterFault, StreamFilterFactory, WorkerIndex};
use sidegate_watch::{Hook, Place, enter};

use crate::ProxyConfig;
use crate::plan::place;

/// Filters that know of this worker until this is dropped.
#[derive(Debug)]
pub(crate) struct Attached {
    /// Those that could be told.
    filters: Vec<Told>,
    /// Places of the others in the chain: they fault on each stream.
    refused: Vec<usize>,
    worker: WorkerIndex,
}

#[derive(Debug)]
struct Told {
    name: Arc<str>,
    factory: Arc<dyn StreamFilterFactory>,
    place: &'static Place,
}

impl Attached {
    pub(crate) fn new(config: &ProxyConfig, worker: WorkerIndex) -> Rc<Self> {
        let mut filters = Vec::with_capacity(config.filters.len());
        let mut refused = Vec::new();
        for (index, filter) in config.filters.iter().enumerate() {
            let place = place(filter);
            let mark = enter(place, Hook::AttachWorker);
            let attached = catch_unwind(AssertUnwindSafe(|| filter.factory.attach_worker(worker)))
                .unwrap_or_else(|_| Err(FilterFault::new("panicked")));
            drop(mark);
            match attached {
                Ok(()) => filters.push(Told { name: filter.name.clone(), factory: filter.factory.clone(), place }),
                Err(fault) => {
                    tracing::error!(filter = &*filter.name, %fault, "filter cannot set up its worker state");
                    refused.push(index);
                }
            }
        }
        Rc::new(Attached { filters, refused, worker })
    }

    /// Whether the filter at `index` in the chain could not be told.
    pub(crate) fn was_refused(&self, index: usize) -> bool {
        self.refused.contains(&index)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        for Told { name, factory, place } in &self.filters {
            let _mark = enter(place, Hook::DetachWorker);
            if catch_unwind(AssertUnwindSafe(|| factory.detach_worker(self.worker))).is_err() {
                tracing::error!(filter = &**name, "filter panicked while it gave up its worker state");
            }
        }
    }
}
