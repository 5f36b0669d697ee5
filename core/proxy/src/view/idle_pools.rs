//! Pools in which connections idle: few of many, on a worker that knows ten
//! thousand hosts.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use sidegate_stream::HostPool;

/// Pools of one worker that have something idle, and some that had lately.
#[derive(Debug, Default)]
pub(crate) struct IdlePools(RefCell<Vec<Rc<HostPool>>>);

impl IdlePools {
    /// Something idles in `pool`, which is not listed.
    #[cold]
    pub(crate) fn list(&self, pool: &Rc<HostPool>) {
        pool.set_listed(true);
        self.0.borrow_mut().push(pool.clone());
    }

    /// Closes what has been idle for too long or was closed by its host.
    /// Called about once a second.
    pub(crate) fn sweep(&self, now: Instant) {
        // A connection that closes calls whoever counts it: no borrow then.
        for pool in self.listed() {
            pool.sweep(now);
        }
        self.0.borrow_mut().retain(|pool| {
            let keeps = pool.is_to_be_swept();
            pool.set_listed(keeps);
            keeps
        });
    }

    /// Closes the connection that was idle for longest in some pool; whether
    /// there was one.
    pub(crate) fn drop_one(&self) -> bool {
        self.listed().iter().any(|pool| pool.drop_one())
    }

    /// Resets one idle connection of each.
    pub(crate) fn reset_one_each(&self) {
        for pool in self.listed() {
            pool.reset_one();
        }
    }

    /// Closes so many of a hundred, at least one if there is one, oldest first,
    /// and says how many.
    pub(crate) fn close(&self, percent: u8) -> usize {
        let pools = self.listed();
        let all: usize = pools.iter().map(|pool| pool.idle()).sum();
        let wanted = (all * usize::from(percent)).div_ceil(100);
        for _ in 0..wanted {
            let oldest = pools.iter().filter_map(|pool| Some((pool.oldest()?, pool))).min_by_key(|(since, _)| *since);
            if let Some((_, pool)) = oldest {
                pool.drop_one();
            }
        }
        wanted
    }

    fn listed(&self) -> Vec<Rc<HostPool>> {
        self.0.borrow().clone()
    }
}
