//! A listener on one worker: what its connections there have in common.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use slab::Slab;
use tokio::task::AbortHandle;

use crate::listeners::SharedListener;
use crate::{Line, ListenerId, RunPhase, Turns};

/// A listener, as its connections on one worker see it.
#[derive(Debug)]
pub struct ListenerState {
    id: ListenerId,
    /// What is wanted of this listener alone.
    own: Cell<RunPhase>,
    /// The further of that and of what is wanted of the process: one load for
    /// who asks at each request.
    phase: Cell<RunPhase>,
    /// One place per connection, with its task once that runs.
    connections: RefCell<Slab<Option<AbortHandle>>>,
    /// Places for handshakes that have begun.
    pub handshakes: Rc<Line>,
    /// Steps of them in one turn of the worker.
    pub handshake_steps: Turns,
}

impl ListenerState {
    fn new(id: ListenerId, own: RunPhase, process: RunPhase) -> Rc<Self> {
        let (own, phase) = (Cell::new(own), Cell::new(own.max(process)));
        Rc::new(ListenerState {
            id,
            own,
            phase,
            connections: RefCell::default(),
            handshakes: Rc::default(),
            handshake_steps: Turns::default(),
        })
    }

    /// Its number.
    pub fn id(&self) -> ListenerId {
        self.id
    }

    /// What is wanted of its connections now.
    #[inline]
    pub fn phase(&self) -> RunPhase {
        self.phase.get()
    }

    /// Its connections on this worker.
    pub fn connections(&self) -> usize {
        self.connections.borrow().len()
    }

    /// A place for a connection.
    pub(crate) fn enter(&self) -> usize {
        self.connections.borrow_mut().insert(None)
    }

    /// The connection at `place` is served by this task, which is ended when
    /// the listener alone is told to stop.
    pub(crate) fn served_by(&self, place: usize, task: AbortHandle) {
        if let Some(entry) = self.connections.borrow_mut().get_mut(place) {
            *entry = Some(task);
        }
    }

    /// The connection at `place` is gone.
    pub(crate) fn leave(&self, place: usize) {
        let gone = self.connections.borrow_mut().try_remove(place);
        drop(gone);
    }

    fn set(&self, own: RunPhase, process: RunPhase) {
        self.own.set(own);
        self.phase.set(own.max(process));
        if own == RunPhase::Stopping {
            // The runtime drops the tasks at its next turn.
            self.connections.borrow().iter().filter_map(|(_, task)| task.as_ref()).for_each(AbortHandle::abort);
        }
    }
}

/// The listeners that have connections on this worker, and maybe some that had.
#[derive(Debug, Default)]
pub(crate) struct WorkerListeners(RefCell<HashMap<ListenerId, Rc<ListenerState>>>);

impl WorkerListeners {
    /// The listener for a new connection.
    pub(crate) fn listener(&self, shared: &SharedListener, process: RunPhase) -> Rc<ListenerState> {
        let mut known = self.0.borrow_mut();
        known.entry(shared.id).or_insert_with(|| ListenerState::new(shared.id, shared.phase(), process)).clone()
    }

    /// What is wanted of one listener.
    pub(crate) fn set_phase_of(&self, id: ListenerId, own: RunPhase, process: RunPhase) {
        let state = self.0.borrow().get(&id).cloned();
        if let Some(state) = state {
            state.set(own, process);
            self.forget_if_over(&state);
        }
    }

    /// What is wanted of the process.
    pub(crate) fn set_process_phase(&self, process: RunPhase) {
        for state in self.0.borrow().values() {
            state.set(state.own.get(), process);
        }
    }

    /// A listener that was told to end needs no place here without connections.
    pub(crate) fn forget_if_over(&self, state: &ListenerState) {
        if state.own.get() != RunPhase::Running && state.connections() == 0 {
            self.0.borrow_mut().remove(&state.id);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_further_phase_holds_and_what_is_over_is_forgotten() {
        use RunPhase::{Draining, Running, Stopping};
        let all = WorkerListeners::default();
        let shared = [1, 2].map(|id| SharedListener::new(ListenerId(id)));
        let [one, two] = shared.each_ref().map(|shared| all.listener(shared, Running));
        assert_eq!((one.phase(), one.id()), (Running, ListenerId(1)));
        let place = one.enter();
        all.set_phase_of(ListenerId(1), Draining, Running);
        assert_eq!((one.phase(), two.phase()), (Draining, Running));
        all.set_process_phase(Stopping);
        assert_eq!((one.phase(), two.phase()), (Stopping, Stopping));
        assert_eq!(all.len(), 2, "one has a connection, two may get some");
        one.leave(place);
        all.forget_if_over(&one);
        assert_eq!(all.len(), 1);
        // One that comes late, from a worker that hung, finds the same phase.
        shared[0].set_phase(Draining);
        assert_eq!(all.listener(&shared[0], Running).phase(), Draining);
    }
}
