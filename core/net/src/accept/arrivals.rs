//! Connections on their way from the accept thread to a worker.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use sidegate_api::Address;
use sidegate_overload::Ticket;

use crate::listeners::ListenerTicket;

/// A connection that was accepted and that no worker has picked up.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) fd: OwnedFd,
    /// Counts it for its listener, from the accept on.
    pub(crate) listener: ListenerTicket,
    pub(crate) remote: Option<Address>,
    pub(crate) listen: Arc<Address>,
    /// The same for the limits of connections.
    pub(crate) ticket: Ticket,
}

/// What waits for one worker. Behind a lock and not in its channel, so that it
/// can be taken back from a worker that hangs. The lock is taken for one
/// connection and for the time of a push or pop, so hardly ever waited for,
/// and no filter runs under it.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<VecDeque<Arrival>>);

impl Arrivals {
    pub(crate) fn push(&self, arrival: Arrival) {
        self.lock().push_back(arrival);
    }

    pub(crate) fn pop(&self) -> Option<Arrival> {
        self.lock().pop_front()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Arrival>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
