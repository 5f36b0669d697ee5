//! Listeners as all threads see them: how many connections each has, and what
//! is wanted of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::worker::SharedPhase;
use crate::{ListenerId, RunPhase};

/// A listener, from when it accepts until its last connection is gone.
#[derive(Debug)]
pub(crate) struct SharedListener {
    pub(crate) id: ListenerId,
    phase: SharedPhase,
    /// Written twice per connection, whichever worker has it.
    connections: AtomicUsize,
    emptied: Notify,
}

/// Counts one connection of a listener, from the accept to the end.
#[derive(Debug)]
pub(crate) struct ListenerTicket(Arc<SharedListener>);

/// All that there are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listeners(Arc<Mutex<HashMap<ListenerId, Weak<SharedListener>>>>);

impl Listeners {
    /// The listener with this number, new or known.
    pub(crate) fn listener(&self, id: ListenerId) -> Arc<SharedListener> {
        let mut known = self.lock();
        if let Some(listener) = known.get(&id).and_then(Weak::upgrade) {
            return listener;
        }
        known.retain(|_, listener| listener.strong_count() > 0);
        let listener = Arc::new(SharedListener::new(id));
        known.insert(id, Arc::downgrade(&listener));
        listener
    }

    /// `None` if it never accepted, or all of it is gone.
    pub(crate) fn find(&self, id: ListenerId) -> Option<Arc<SharedListener>> {
        self.lock().get(&id)?.upgrade()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ListenerId, Weak<SharedListener>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedListener {
    pub(crate) fn new(id: ListenerId) -> Self {
        SharedListener { id, phase: SharedPhase::new(), connections: AtomicUsize::new(0), emptied: Notify::new() }
    }

    /// What is wanted of this listener alone.
    pub(crate) fn phase(&self) -> RunPhase {
        self.phase.get()
    }

    pub(crate) fn set_phase(&self, phase: RunPhase) {
        self.phase.set(phase);
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    /// Waits until there is no connection.
    pub(crate) async fn idle(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            // Before the look at the count, so that no end is missed.
            emptied.as_mut().enable();
            if self.connections() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

impl ListenerTicket {
    pub(crate) fn new(listener: &Arc<SharedListener>) -> Self {
        listener.connections.fetch_add(1, Ordering::Relaxed);
        ListenerTicket(listener.clone())
    }

    pub(crate) fn listener(&self) -> &SharedListener {
        &self.0
    }
}

impl Drop for ListenerTicket {
    fn drop(&mut self) {
        if self.0.connections.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_listener_is_known_while_anybody_has_it_and_waited_for() {
        let all = Listeners::default();
        let listener = all.listener(ListenerId(3));
        assert!(Arc::ptr_eq(&listener, &all.listener(ListenerId(3))));
        listener.idle().await;
        let tickets = [ListenerTicket::new(&listener), ListenerTicket::new(&listener)];
        listener.set_phase(RunPhase::Draining);
        drop(listener);
        let found = all.find(ListenerId(3)).unwrap();
        assert_eq!((found.connections(), found.phase()), (2, RunPhase::Draining));
        let mut idle = Box::pin(found.idle());
        let [first, second] = tickets;
        drop(first);
        assert!(tokio::time::timeout(std::time::Duration::ZERO, idle.as_mut()).await.is_err());
        drop(second);
        idle.as_mut().await;
        drop(idle);
        drop(found);
        assert!(all.find(ListenerId(3)).is_none());
        assert_eq!(all.listener(ListenerId(4)).connections(), 0);
        assert_eq!(all.lock().len(), 1, "what is gone is forgotten");
    }
}
