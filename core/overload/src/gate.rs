//! Whether one more connection may come in. For the accept thread.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::orders::Order;
use crate::shared::Limit;
use crate::{ListenerId, Overload};

/// Decides for one listener.
#[derive(Debug, Clone)]
pub struct Gate {
    overload: Overload,
    /// Connections of the listener, whichever of its sockets they came by.
    listener: Arc<AtomicU64>,
}

/// Counts one connection for as long as it lives.
#[derive(Debug)]
pub struct Ticket {
    overload: Overload,
    /// Counted without a limit too: there may be one later.
    listener: Arc<AtomicU64>,
    client: Option<Arc<AtomicU64>>,
}

/// The client has as many connections as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

/// Connections by client address. Only the accept thread asks, so that its lock
/// is free.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<HashMap<IpAddr, Arc<AtomicU64>>>);

/// Entries of clients that have gone are dropped when there are so many.
const SWEEP_AT: usize = 1024;

impl Clients {
    fn one_more(&self, client: IpAddr, limit: &Limit) -> Result<Arc<AtomicU64>, TooMany> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A sweep per doubling keeps its cost per connection constant.
        if clients.len() >= SWEEP_AT && clients.len() == clients.capacity() {
            clients.retain(|_, count| count.load(Ordering::Relaxed) > 0);
        }
        let count = clients.entry(client).or_default();
        if !limit.is_above(count.load(Ordering::Relaxed)) {
            return Err(TooMany);
        }
        count.fetch_add(1, Ordering::Relaxed);
        Ok(count.clone())
    }
}

impl Gate {
    pub(crate) fn new(overload: Overload) -> Self {
        Gate { overload, listener: Arc::default() }
    }

    /// Whether a connection may be taken from the queue of the socket now.
    pub fn is_open(&self) -> bool {
        let shared = self.overload.shared();
        let limits = &shared.connection_limits;
        !self.overload.stops_accepting()
            && limits.total.is_above(shared.connections.load(Ordering::Relaxed))
            && limits.per_listener.is_above(self.listener.load(Ordering::Relaxed))
            && shared.descriptors_left.load(Ordering::Relaxed) > 0
    }

    /// Whether the listener's own limit is reached, and idle connections may
    /// be closed for that.
    pub fn wants_room(&self) -> bool {
        let shared = self.overload.shared();
        let limit = &shared.connection_limits.per_listener;
        shared.closes_idle.load(Ordering::Relaxed) && !limit.is_above(self.listener.load(Ordering::Relaxed))
    }

    /// Has idle connections of this listener closed.
    pub fn ask_for_room(&self, listener: ListenerId) {
        for orders in &self.overload.shared().orders {
            orders.give(Order::CloseIdleOf(listener));
        }
    }

    /// Counts a connection that was taken; `client` is none for other than
    /// Internet sockets.
    pub fn admit(&self, client: Option<IpAddr>) -> Result<Ticket, TooMany> {
        let shared = self.overload.shared();
        // One client has one address, however it is written.
        let limit = &shared.connection_limits.per_client;
        let counted = client.map(|client| shared.clients.one_more(client.to_canonical(), limit)).transpose();
        let client = counted.inspect_err(|_| shared.meters.client_refused())?;
        shared.connections.fetch_add(1, Ordering::Relaxed);
        shared.descriptors_left.fetch_sub(1, Ordering::Relaxed);
        self.listener.fetch_add(1, Ordering::Relaxed);
        Ok(Ticket { overload: self.overload.clone(), listener: self.listener.clone(), client })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.overload.shared().connections.fetch_sub(1, Ordering::Relaxed);
        self.listener.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = &self.client {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::InForce;
    use crate::meters::Meters;
    use crate::{ConnectionLimits, Machine, OverloadConfig};

    fn limits(total: Option<u64>, per_listener: Option<u64>, per_client: Option<u64>) -> OverloadConfig {
        let connections = ConnectionLimits { total, per_listener, per_client };
        OverloadConfig { connections, ..OverloadConfig::unlimited() }
    }

    fn overload(total: u64, per_listener: u64, per_client: u64) -> Overload {
        let config = limits(Some(total), Some(per_listener), Some(per_client));
        Overload::with(InForce::new(&config, &Machine::default()), 1, Meters::none())
    }

    #[test]
    fn limits_that_change_count_those_that_are_there() {
        let overload = Overload::unlimited(1);
        let (a, b) = (overload.gate(), overload.gate());
        let turn_to = |config: OverloadConfig| overload.turn_to(&config, &Machine::default());
        let client = |n: u8| Some(IpAddr::from([127, 0, 0, n]));
        let mut there: Vec<Ticket> = (0..3).map(|_| a.admit(client(1)).unwrap()).collect();
        turn_to(limits(Some(2), None, None));
        assert!(!a.is_open() && !b.is_open() && !a.wants_room());
        there.pop();
        assert!(!a.is_open());
        there.pop();
        assert!(a.is_open());
        turn_to(limits(None, Some(1), None));
        assert!(!a.is_open() && a.wants_room() && b.is_open() && !b.wants_room());
        turn_to(OverloadConfig { actions: crate::Thresholds::new([0; 5]), ..limits(None, Some(1), None) });
        assert!(!a.is_open() && !a.wants_room());
        turn_to(limits(None, None, Some(1)));
        assert!(a.is_open() && b.is_open());
        assert_eq!(a.admit(client(1)).unwrap_err(), TooMany);
        there.push(a.admit(client(2)).unwrap());
        turn_to(limits(Some(3), Some(3), Some(2)));
        there.push(a.admit(client(1)).unwrap());
        assert!(!a.is_open() && !b.is_open());
        drop(there);
        assert!(a.is_open());
        assert_eq!(overload.shared().connections.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn each_limit_counts_by_itself_and_is_free_again() {
        let overload = overload(4, 3, 2);
        let (a, b) = (overload.gate(), overload.gate());
        let client = |n: u8| Some(IpAddr::from([127, 0, 0, n]));
        let first = a.admit(client(1)).unwrap();
        let second = a.admit(client(1)).unwrap();
        assert_eq!(a.admit(client(1)).unwrap_err(), TooMany);
        assert_eq!(b.admit(Some("::ffff:127.0.0.1".parse().unwrap())).unwrap_err(), TooMany);
        let third = a.admit(client(2)).unwrap();
        assert!(!a.is_open() && b.is_open());
        let fourth = b.admit(None).unwrap();
        assert!(!b.is_open());
        drop((first, third));
        assert!(a.is_open() && b.is_open());
        assert!(a.admit(client(1)).is_ok());
        drop((second, fourth));
    }

    #[test]
    fn clients_that_have_gone_are_forgotten() {
        let overload = overload(u64::MAX, u64::MAX, 1);
        let gate = overload.gate();
        for n in 0..100_000_u32 {
            drop(gate.admit(Some(IpAddr::from(n.to_be_bytes()))).unwrap());
        }
        let known = overload.shared().clients.0.lock().unwrap().len();
        assert!(known <= 4 * SWEEP_AT, "{known}");
    }
}
