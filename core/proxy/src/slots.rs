//! What a worker serves now, in slots that are filled one by one: a change
//! costs what has changed, however much else there is.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use sidegate_api::WorkerIndex;
use sidegate_net::ListenerId;

use crate::view::{ClusterTable, ListenerView, RouteView};
use crate::{ListenerSpec, RouteSet, Update};

/// All slots of one worker.
#[derive(Debug)]
pub(crate) struct Slots {
    worker: WorkerIndex,
    listeners: RefCell<HashMap<ListenerId, Rc<ListenerSlot>>>,
    pub(crate) clusters: Rc<ClusterTable>,
    built: Built,
}

/// Views that were made so far.
#[derive(Debug, Default)]
pub(crate) struct Built {
    pub(crate) listeners: Cell<u64>,
    pub(crate) routes: Cell<u64>,
    pub(crate) clusters: Cell<u64>,
}

/// What a listener is just now. Connections hold it: an idle one holds nothing
/// of a configuration, and looks nothing up for its next request.
#[derive(Debug, Default)]
pub(crate) struct ListenerSlot(RefCell<Option<Current>>);

/// What a stream of a listener gets at its first byte, and keeps to its end.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub(crate) listener: Rc<ListenerView>,
    pub(crate) routes: Rc<RouteView>,
}

impl Slots {
    pub(crate) fn new(worker: WorkerIndex) -> Self {
        Slots { worker, listeners: RefCell::default(), clusters: Rc::default(), built: Built::default() }
    }

    /// The slot of a listener; `None`: there is none of this number.
    pub(crate) fn listener(&self, id: ListenerId) -> Option<Rc<ListenerSlot>> {
        self.listeners.borrow().get(&id).cloned()
    }

    /// Takes a change.
    pub(crate) fn apply(&self, update: &Update) {
        self.take(update);
        self.clusters.tidy();
    }

    fn take(&self, update: &Update) {
        match update {
            Update::Listener(id, Some(spec)) => self.set_listener(*id, spec),
            Update::Listener(id, None) => {
                let slot = self.listeners.borrow_mut().remove(id);
                if let Some(slot) = slot {
                    slot.replace(None);
                }
            }
            Update::Routes(id, routes) => self.set_routes(*id, routes),
            Update::Cluster(_, Some(cluster)) => {
                if self.clusters.set(cluster) {
                    count(&self.built.clusters);
                }
            }
            Update::Cluster(name, None) => self.clusters.remove(name),
            Update::Batch(updates) => updates.iter().for_each(|update| self.take(update)),
        }
    }

    fn set_listener(&self, id: ListenerId, spec: &ListenerSpec) {
        let slot = self.listeners.borrow_mut().entry(id).or_default().clone();
        let before = slot.current();
        let same = before.as_ref().filter(|before| std::sync::Arc::ptr_eq(&before.listener.config, &spec.config));
        let listener = same.map(|same| same.listener.clone()).unwrap_or_else(|| {
            count(&self.built.listeners);
            let before = before.as_ref().map(|before| &*before.listener);
            Rc::new(ListenerView::new(spec.config.clone(), spec.stats.clone(), self.worker, before))
        });
        let routes = self.routes(&spec.routes, before.as_ref());
        slot.replace(Some(Current { listener, routes }));
    }

    fn set_routes(&self, id: ListenerId, routes: &std::sync::Arc<RouteSet>) {
        let slot = self.listener(id);
        let Some((slot, before)) = slot.and_then(|slot| slot.current().map(|before| (slot, before))) else {
            tracing::error!(listener = id.0, "routes for a listener that is not there");
            return;
        };
        let routes = self.routes(routes, Some(&before));
        slot.replace(Some(Current { listener: before.listener.clone(), routes }));
    }

    fn routes(&self, set: &std::sync::Arc<RouteSet>, before: Option<&Current>) -> Rc<RouteView> {
        match before.filter(|before| before.routes.is_of(set)) {
            Some(same) => same.routes.clone(),
            None => {
                count(&self.built.routes);
                Rc::new(RouteView::new(set.clone(), &self.clusters))
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn built(&self) -> [u64; 3] {
        [self.built.listeners.get(), self.built.routes.get(), self.built.clusters.get()]
    }
}

fn count(views: &Cell<u64>) {
    views.set(views.get() + 1);
}

impl ListenerSlot {
    /// What a stream that begins now gets; `None`: the listener is gone.
    #[inline]
    pub(crate) fn current(&self) -> Option<Current> {
        self.0.borrow().clone()
    }

    /// The same for a look at it.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&ListenerView) -> R) -> Option<R> {
        self.0.borrow().as_ref().map(|current| look(&current.listener))
    }

    fn replace(&self, current: Option<Current>) {
        let kept = current.as_ref().map(|current| current.routes.clone());
        // Filters that are told that they leave the worker must find no slot
        // borrowed.
        let old = self.0.replace(current);
        if let Some(old) = &old
            && kept.is_none_or(|kept| !Rc::ptr_eq(&kept, &old.routes))
        {
            old.routes.replaced();
        }
    }
}
