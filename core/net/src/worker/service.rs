//! What workers run.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use sidegate_api::Address;
use sidegate_overload::Ticket;

use super::context::WorkerContext;
use super::listener::ListenerState;
use crate::Socket;
use crate::listeners::ListenerTicket;

/// A connection that was accepted for this worker.
#[derive(Debug)]
pub struct Accepted {
    /// The socket.
    pub socket: Socket,
    /// The listener that it came by.
    pub listener: Rc<ListenerState>,
    /// The client's address.
    pub remote: Address,
    /// Our address.
    pub local: Address,
    /// Counts the connection until it is dropped.
    pub guard: ConnectionGuard,
}

/// Counts one connection of a worker and of a listener for as long as it lives.
#[derive(Debug)]
pub struct ConnectionGuard {
    worker: Rc<WorkerContext>,
    listener: Rc<ListenerState>,
    place: usize,
    /// The same for the limits of connections.
    _limits: Ticket,
    /// And for who waits until the listener has none.
    _listener: ListenerTicket,
}

/// What a worker runs for each connection.
pub trait Service: 'static {
    /// A change of its configuration.
    type Update: Send + Sync + 'static;

    /// Made once per worker, on its thread, with the first configuration.
    fn start(worker: Rc<WorkerContext>, first: Arc<Self::Update>) -> Rc<Self>;

    /// Takes a change, whole: no task of the worker runs meanwhile. Streams in
    /// flight stay with what they have.
    fn apply(self: &Rc<Self>, update: Arc<Self::Update>);

    /// Serves one connection to its end. A panic in it ends this connection
    /// only.
    fn serve(self: &Rc<Self>, connection: Accepted) -> impl Future<Output = ()> + 'static;

    /// Called when the process starts to drain: close idle upstream
    /// connections.
    fn drain(self: &Rc<Self>);

    /// Closes so many of a hundred idle upstream connections, at least one,
    /// oldest first, and says how many.
    fn close_idle(self: &Rc<Self>, percent: u8) -> usize;
}

impl ConnectionGuard {
    pub(super) fn new(
        worker: &Rc<WorkerContext>,
        listener: &Rc<ListenerState>,
        limits: Ticket,
        ticket: ListenerTicket,
    ) -> Self {
        worker.opened();
        ConnectionGuard {
            worker: worker.clone(),
            listener: listener.clone(),
            place: listener.enter(),
            _limits: limits,
            _listener: ticket,
        }
    }

    /// Where its task is noted in its listener.
    pub(super) fn place(&self) -> usize {
        self.place
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.listener.leave(self.place);
        self.worker.listeners.forget_if_over(&self.listener);
        self.worker.closed();
    }
}
