//! Whether one more connection may come in. For the accept thread.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::orders::Order;
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
    /// Only where they have a limit.
    listener: Option<Arc<AtomicU64>>,
    client: Option<Arc<AtomicU64>>,
}

/// The client has as many connections as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

/// Connections by client address, where that has a limit. Only the accept
/// thread asks, so that its lock is free.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<HashMap<IpAddr, Arc<AtomicU64>>>);

/// Entries of clients that have gone are dropped when there are so many.
const SWEEP_AT: usize = 1024;

impl Clients {
    fn one_more(&self, client: IpAddr, limit: u64) -> Result<Arc<AtomicU64>, TooMany> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A sweep per doubling keeps its cost per connection constant.
        if clients.len() >= SWEEP_AT && clients.len() == clients.capacity() {
            clients.retain(|_, count| count.load(Ordering::Relaxed) > 0);
        }
        let count = clients.entry(client).or_default();
        if count.load(Ordering::Relaxed) >= limit {
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
        let limits = &shared.limits.connections;
        let below =
            |count: &AtomicU64, limit: Option<u64>| limit.is_none_or(|limit| count.load(Ordering::Relaxed) < limit);
        !self.overload.stops_accepting()
            && below(&shared.connections, limits.total)
            && below(&self.listener, limits.per_listener)
            && shared.descriptors_left.load(Ordering::Relaxed) > 0
    }

    /// Whether the listener's own limit is reached, and idle connections may
    /// be closed for that.
    pub fn wants_room(&self) -> bool {
        let shared = self.overload.shared();
        let limit = shared.limits.connections.per_listener;
        shared.closes_idle.load(Ordering::Relaxed)
            && limit.is_some_and(|limit| self.listener.load(Ordering::Relaxed) >= limit)
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
        let limits = &shared.limits.connections;
        let client = match (client, limits.per_client) {
            (Some(client), Some(limit)) => {
                // One client has one address, however it is written.
                let counted = shared.clients.one_more(client.to_canonical(), limit);
                Some(counted.inspect_err(|_| shared.meters.client_refused())?)
            }
            _ => None,
        };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        shared.descriptors_left.fetch_sub(1, Ordering::Relaxed);
        let listener = limits.per_listener.map(|_| {
            self.listener.fetch_add(1, Ordering::Relaxed);
            self.listener.clone()
        });
        Ok(Ticket { overload: self.overload.clone(), listener, client })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.overload.shared().connections.fetch_sub(1, Ordering::Relaxed);
        for count in [&self.listener, &self.client].into_iter().flatten() {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meters::Meters;
    use crate::{ConnectionLimits, Machine, OverloadConfig, ResolvedLimits};

    fn overload(total: u64, per_listener: u64, per_client: u64) -> Overload {
        let config = OverloadConfig {
            connections: ConnectionLimits {
                total: Some(total),
                per_listener: Some(per_listener),
                per_client: Some(per_client),
            },
            ..OverloadConfig::unlimited()
        };
        Overload::with(ResolvedLimits::new(&config, &Machine::default()), 1, Meters::none())
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
