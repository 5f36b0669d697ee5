//! A listener's filters on one worker: told once that it is there, and once
//! that it is gone, however often routes and clusters change between.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use sidegate_api::{FilterFault, StreamFilterFactory, WorkerIndex};
use sidegate_watch::{Hook, Place, enter};

use super::hook_table::place;
use crate::{FilterEntry, ProxyConfig};

/// Filters that know of this worker, by their place in the chain. `None`: it
/// could not be told, and faults on each stream.
#[derive(Debug)]
pub(crate) struct Attached(Vec<Option<Rc<Told>>>);

/// A filter that knows of this worker until this is dropped.
#[derive(Debug)]
pub(crate) struct Told {
    name: Arc<str>,
    factory: Arc<dyn StreamFilterFactory>,
    place: &'static Place,
    worker: WorkerIndex,
}

impl Attached {
    pub(crate) fn new(config: &ProxyConfig, worker: WorkerIndex) -> Rc<Self> {
        let tell = |filter: &FilterEntry| {
            let place = place(filter);
            let mark = enter(place, Hook::AttachWorker);
            let attached = catch_unwind(AssertUnwindSafe(|| filter.factory.attach_worker(worker)))
                .unwrap_or_else(|_| Err(FilterFault::new("panicked")));
            drop(mark);
            match attached {
                Ok(()) => {
                    let (name, factory) = (filter.name.clone(), filter.factory.clone());
                    Some(Rc::new(Told { name, factory, place, worker }))
                }
                Err(fault) => {
                    tracing::error!(filter = &*filter.name, %fault, "filter cannot set up its worker state");
                    None
                }
            }
        };
        Rc::new(Attached(config.filters.iter().map(tell).collect()))
    }

    /// Keeps the filter at `index` in the chain attached; `None`: it is not.
    pub(crate) fn told(&self, index: usize) -> Option<&Rc<Told>> {
        self.0.get(index)?.as_ref()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _mark = enter(self.place, Hook::DetachWorker);
        if catch_unwind(AssertUnwindSafe(|| self.factory.detach_worker(self.worker))).is_err() {
            tracing::error!(filter = &*self.name, "filter panicked while it gave up its worker state");
        }
    }
}
