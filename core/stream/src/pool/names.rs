//! Connections to one host under different names: what was verified for one
//! must not carry requests for another.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::{HostPool, PoolLimits};

/// Names per host and worker. Clients choose them, so they are bounded: the one
/// that was not used for longest goes, with the connections that idle for it.
pub const MAX_NAMES: usize = 64;

/// Pools of one host by name.
#[derive(Debug, Default)]
pub(super) struct NamedPools {
    pools: RefCell<HashMap<Arc<str>, Named>>,
    /// Counts uses.
    clock: Cell<u64>,
}

#[derive(Debug)]
struct Named {
    pool: Rc<HostPool>,
    used: u64,
}

impl NamedPools {
    /// The pool for `name`.
    pub fn get(&self, name: &str, limits: PoolLimits) -> Rc<HostPool> {
        let now = self.clock.get() + 1;
        self.clock.set(now);
        if let Some(known) = self.pools.borrow_mut().get_mut(name) {
            known.used = now;
            return known.pool.clone();
        }
        let name: Arc<str> = name.into();
        let pool = Rc::new(HostPool::under(name.clone(), limits));
        let one_too_many = self.pools.borrow().len() >= MAX_NAMES;
        if one_too_many {
            self.forget_one();
        }
        self.pools.borrow_mut().insert(name, Named { pool: pool.clone(), used: now });
        pool
    }

    fn forget_one(&self) {
        let oldest = self.pools.borrow().iter().min_by_key(|(_, named)| named.used).map(|(name, _)| name.clone());
        let named = oldest.and_then(|name| self.pools.borrow_mut().remove(&name));
        // A connection that closes calls whoever counts it: no borrow then.
        if let Some(named) = named {
            named.pool.close();
        }
    }

    /// Lets go of names without connections.
    pub fn tidy(&self) {
        let empty = |named: &Named| !named.pool.is_to_be_swept();
        let gone: Vec<_> = self.pools.borrow_mut().extract_if(|_, named| empty(named)).collect();
        // What is being made for one ends with its stream.
        gone.iter().for_each(|(_, named)| named.pool.close());
    }

    /// All of them.
    pub fn all(&self) -> Vec<Rc<HostPool>> {
        self.pools.borrow().values().map(|named| named.pool.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PoolLimits = PoolLimits { idle_timeout: None, max_requests: None };

    #[test]
    fn names_are_apart_and_few() {
        let host = HostPool::new(LIMITS);
        let first = host.named("a.test");
        assert!(Rc::ptr_eq(&first, &host.named("a.test")) && !Rc::ptr_eq(&first, &host.named("b.test")));
        assert_eq!((first.name().map(|name| &**name), host.name()), (Some("a.test"), None));
        for place in 0..2 * MAX_NAMES {
            host.named(&format!("{place}.test"));
            // It is used all the time, and stays.
            assert!(Rc::ptr_eq(&first, &host.named("a.test")));
        }
        assert_eq!(host.names(), MAX_NAMES);
        host.sweep(std::time::Instant::now());
        assert_eq!(host.names(), 0, "nothing is connected under any of them");
    }
}
