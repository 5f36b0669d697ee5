//! The last faults, without a lock: workers fault at the same time.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::nanos;

/// A ring of the times of the last faults, as many as are too many.
#[derive(Debug)]
pub(super) struct RecentFaults {
    /// One more than the time; 0: none yet.
    times: Box<[AtomicU64]>,
    next: AtomicUsize,
    within: u64,
    /// What was before does not count.
    since: AtomicU64,
}

impl RecentFaults {
    pub(super) fn new(faults: u32, within: Duration) -> Self {
        let times = (0..faults.max(1)).map(|_| AtomicU64::new(0)).collect();
        RecentFaults { times, next: AtomicUsize::new(0), within: nanos(within), since: AtomicU64::new(0) }
    }

    /// Counts a fault at `now`; whether it is one too many.
    pub(super) fn count(&self, now: u64) -> bool {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.times.len();
        self.times[index].store(now.saturating_add(1), Ordering::Relaxed);
        // The oldest of as many as there may be.
        let oldest = self.times[(index + 1) % self.times.len()].load(Ordering::Relaxed);
        oldest
            .checked_sub(1)
            .is_some_and(|then| then >= self.since.load(Ordering::Relaxed) && now.saturating_sub(then) <= self.within)
    }

    /// Begins anew at `now`.
    pub(super) fn forget(&self, now: u64) {
        self.since.store(now.saturating_add(1), Ordering::Relaxed);
    }
}
