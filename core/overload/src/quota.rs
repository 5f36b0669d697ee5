//! A limit that all workers share, without a lock and mostly without sharing.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What all workers together have taken, and may take. Alone on its cache
/// lines: workers write to it.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Quota {
    taken: AtomicU64,
    /// `u64::MAX`: no limit.
    limit: AtomicU64,
    /// How much a worker takes at once.
    batch: AtomicU64,
    /// How much it may have in hand unused: nothing where the limit is so small
    /// that others would miss it, and while more is taken than the limit allows.
    slack: AtomicU64,
    workers: u64,
    largest_batch: u64,
}

impl Quota {
    /// A quota of `limit`, of which each of `workers` keeps little unused:
    /// all together at most a quarter.
    pub(crate) fn new(limit: Option<u64>, workers: usize, largest_batch: u64) -> Self {
        let quota = Quota {
            taken: AtomicU64::new(0),
            limit: AtomicU64::new(u64::MAX),
            batch: AtomicU64::new(1),
            slack: AtomicU64::new(0),
            workers: workers.max(1) as u64,
            largest_batch,
        };
        quota.set_limit(limit);
        quota
    }

    /// Has another limit from now on. What is taken stays so; while it is more
    /// than the limit nobody gets any more, and workers keep nothing unused once
    /// each of them has settled ([`Share::settle`]).
    pub(crate) fn set_limit(&self, limit: Option<u64>) {
        let batch = match limit {
            Some(limit) => (limit / (self.workers * 8)).clamp(1, self.largest_batch),
            None => self.largest_batch,
        };
        self.batch.store(batch, Ordering::Relaxed);
        self.limit.store(limit.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.adjust();
    }

    /// Lets workers keep some unused while there is enough. Asked now and then.
    pub(crate) fn adjust(&self) {
        let slack = match self.taken() <= self.limit.load(Ordering::Relaxed) {
            true => 2 * (self.batch.load(Ordering::Relaxed) - 1),
            false => 0,
        };
        self.slack.store(slack, Ordering::Relaxed);
    }

    /// What workers have taken: what they use and a little more.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes `count` if `limit` then still holds.
    fn take(&self, count: u64, limit: u64) -> bool {
        let before = self.taken.fetch_add(count, Ordering::Relaxed);
        let fits = before.checked_add(count).is_some_and(|after| after <= limit);
        if !fits {
            self.give(count);
        }
        fits
    }

    fn give(&self, count: u64) {
        self.taken.fetch_sub(count, Ordering::Relaxed);
    }
}

/// What is left of `limit` without its reserve, a sixteenth.
pub(crate) fn without_reserve(limit: u64) -> u64 {
    limit - limit / 16
}

/// One worker's part of a quota.
#[derive(Debug)]
pub(crate) struct Share {
    quota: Arc<Quota>,
    granted: Cell<u64>,
    used: Cell<u64>,
}

/// How much of a quota a request may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All of it.
    Whole,
    /// All but a reserve, which is kept for small ones.
    AllButReserve,
    /// More than there is: it is there already, and only counted.
    Beyond,
}

impl Share {
    pub(crate) fn new(quota: Arc<Quota>) -> Self {
        Share { quota, granted: Cell::new(0), used: Cell::new(0) }
    }

    /// What this worker uses.
    pub(crate) fn used(&self) -> u64 {
        self.used.get()
    }

    /// Whether there are `count` more in hand, so that nothing is taken.
    pub(crate) fn has(&self, count: u64) -> bool {
        self.used.get().saturating_add(count) <= self.granted.get()
    }

    /// Uses one more, if there is one.
    #[inline]
    pub(crate) fn take_one(&self) -> bool {
        let used = self.used.get();
        if used < self.granted.get() {
            self.used.set(used + 1);
            return true;
        }
        self.take(1, Reach::Whole)
    }

    /// Uses one less.
    #[inline]
    pub(crate) fn give_one(&self) {
        let used = self.used.get().saturating_sub(1);
        self.used.set(used);
        if self.granted.get() - used > self.quota.slack.load(Ordering::Relaxed) {
            self.give_surplus();
        }
    }

    /// Uses `count` more, if `reach` allows it.
    pub(crate) fn take(&self, count: u64, reach: Reach) -> bool {
        let used = self.used.get().saturating_add(count);
        let limit = match reach {
            Reach::Whole => self.quota.limit.load(Ordering::Relaxed),
            Reach::AllButReserve => without_reserve(self.quota.limit.load(Ordering::Relaxed)),
            Reach::Beyond => u64::MAX,
        };
        let missing = used.saturating_sub(self.granted.get());
        // What is in hand was taken from the same limit: it does not have to
        // be asked for, but the reserve is not to be used up through it.
        let in_reach = reach != Reach::AllButReserve || self.quota.taken() <= limit;
        if missing > 0 || !in_reach {
            let batch = missing.max(self.quota.batch.load(Ordering::Relaxed));
            let granted = match () {
                () if missing == 0 => return false,
                () if self.quota.take(batch, limit) => batch,
                () if self.quota.take(missing, limit) => missing,
                () => return false,
            };
            self.granted.set(self.granted.get() + granted);
        }
        self.used.set(used);
        true
    }

    /// Uses `count` less.
    pub(crate) fn give(&self, count: u64) {
        self.used.set(self.used.get().saturating_sub(count));
        if self.granted.get() - self.used.get() > self.quota.slack.load(Ordering::Relaxed) {
            self.give_surplus();
        }
    }

    #[cold]
    fn give_surplus(&self) {
        self.keep(self.quota.slack.load(Ordering::Relaxed) / 2);
    }

    /// Gives back what is in hand unused, after the limit has changed.
    pub(crate) fn settle(&self) {
        self.keep(0);
    }

    /// Gives back what is in hand unused but for `unused`.
    fn keep(&self, unused: u64) {
        let surplus = (self.granted.get() - self.used.get()).saturating_sub(unused);
        self.granted.set(self.granted.get() - surplus);
        self.quota.give(surplus);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.quota.give(self.granted.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(limit: Option<u64>, batch: u64) -> (Arc<Quota>, Share, Share) {
        let quota = Arc::new(Quota::new(limit, 2, batch));
        (quota.clone(), Share::new(quota.clone()), Share::new(quota))
    }

    #[test]
    fn small_limits_are_exact() {
        let (quota, a, b) = shares(Some(3), 64);
        assert!(a.take_one() && b.take_one() && a.take_one());
        assert!(!a.take_one() && !b.take_one());
        a.give_one();
        // Nobody keeps what another could use.
        assert!(b.take_one() && !a.take_one());
        drop((a, b));
        assert_eq!(quota.taken(), 0);
    }

    #[test]
    fn what_is_in_hand_is_little_and_goes_back() {
        let (quota, a, _b) = shares(Some(1600), 64);
        for _ in 0..1000 {
            assert!(a.take_one());
        }
        assert!(quota.taken() >= 1000 && quota.taken() <= 1100, "{}", quota.taken());
        for _ in 0..1000 {
            a.give_one();
        }
        assert!(quota.taken() <= 200, "{}", quota.taken());
    }

    #[test]
    fn the_reserve_is_for_small_ones() {
        let (_quota, a, b) = shares(Some(1600), 1);
        assert!(a.take(1500, Reach::AllButReserve));
        assert!(!a.take(1, Reach::AllButReserve) && !b.take(1, Reach::AllButReserve));
        assert!(b.take(100, Reach::Whole));
        assert!(!a.take(1, Reach::Whole));
        assert!(a.take(1000, Reach::Beyond));
        a.give(2500);
        assert!(b.take(1000, Reach::AllButReserve));
    }

    #[test]
    fn a_lowered_limit_lets_those_stay_that_are_there_and_no_others_in() {
        let (quota, a, b) = shares(Some(1600), 64);
        for share in [&a, &b] {
            for _ in 0..200 {
                assert!(share.take_one());
            }
        }
        quota.set_limit(Some(300));
        for share in [&a, &b] {
            share.settle();
            assert_eq!(share.used(), 200);
        }
        assert_eq!(quota.taken(), 400);
        // Nor does anybody come in for one that ends.
        for used in (300..400).rev() {
            assert!(!a.take_one() && !b.take_one());
            a.give_one();
            assert_eq!(quota.taken(), used);
        }
        assert!(!b.take_one());
        b.give_one();
        assert!(a.take_one() && !a.take_one() && !b.take_one());
        drop((a, b));
        assert_eq!(quota.taken(), 0);
    }

    #[test]
    fn a_raised_limit_lets_more_in_at_once() {
        let (quota, a, b) = shares(Some(2), 64);
        assert!(a.take_one() && b.take_one() && !a.take_one());
        quota.set_limit(Some(3));
        assert!(a.take_one() && !b.take_one());
        quota.set_limit(None);
        for _ in 0..1000 {
            assert!(a.take_one() && b.take_one());
        }
        // It is in batches again.
        assert!(quota.taken() > 2003, "{}", quota.taken());
    }

    #[test]
    fn less_slack_between_two_looks_takes_nothing_twice() {
        let (quota, a, _b) = shares(Some(16_000), 64);
        for _ in 0..100 {
            assert!(a.take_one());
        }
        for limit in [Some(1), None, Some(16_000), Some(0)] {
            quota.set_limit(limit);
            a.give_one();
            a.settle();
            assert_eq!(quota.taken(), a.used());
        }
    }

    #[test]
    fn workers_keep_some_again_once_there_is_enough() {
        let (quota, a, _b) = shares(Some(16_000), 64);
        for _ in 0..1000 {
            assert!(a.take_one());
        }
        quota.set_limit(Some(960));
        a.settle();
        for _ in 0..100 {
            a.give_one();
        }
        assert_eq!(quota.taken(), 900);
        quota.adjust();
        for _ in 0..50 {
            a.give_one();
        }
        assert!(quota.taken() > a.used(), "{}", quota.taken());
    }

    #[test]
    fn without_a_limit_everything_fits() {
        let (_quota, a, _b) = shares(None, 64);
        assert!(a.take(1 << 40, Reach::AllButReserve));
    }
}
