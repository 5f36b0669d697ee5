//! How many requests passed within the last interval, counted by all workers
//! together and without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A sliding window of [`PARTS`] parts.
///
/// In no interval of its length does it let more in than was allowed: what it
/// counts reaches back over the whole interval, and over what has passed of one
/// part more. So what was let in counts for up to a twentieth of the interval
/// longer than it has to, and who asks all the time gets at least twenty of
/// twenty-one times what is allowed.
///
/// Instants are nanoseconds since any origin. Those of different workers may be
/// in any order.
pub(super) struct Window {
    /// Nanoseconds of a part.
    part: u64,
    slots: [AtomicU64; SLOTS as usize],
}

/// The part in which a request was let in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket(u64);

/// Parts of an interval.
const PARTS: u64 = 20;

/// Parts that are kept: the one that is running, those that count beside it,
/// and one more for [`Window::before`].
const SLOTS: u64 = PARTS + 2;

/// What one slot holds, in one word: the number of the part (40 bits), whether
/// it is closed, how many were let in (23 bits). A part is closed by whoever
/// comes in a later one, before it counts: what is closed only gets less.
#[derive(Clone, Copy)]
struct Slot {
    part: u64,
    closed: bool,
    count: u64,
}

const COUNT_BITS: u32 = 23;

impl Slot {
    fn of(word: u64) -> Slot {
        let count = word & Window::MOST;
        Slot { part: word >> (COUNT_BITS + 1), closed: word >> COUNT_BITS & 1 == 1, count }
    }

    fn word(self) -> u64 {
        self.part << (COUNT_BITS + 1) | u64::from(self.closed) << COUNT_BITS | self.count
    }
}

impl Window {
    /// The most that can be allowed.
    pub(super) const MOST: u64 = (1 << COUNT_BITS) - 1;

    /// An empty window of an `interval` of milliseconds or more.
    pub(super) fn new(interval: Duration) -> Window {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Window { part: (interval / PARTS).max(1), slots: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Lets one in, if that makes no more than `allowed`. Some 25 loads and one
    /// exchange; some 20 exchanges for the first of a part.
    pub(super) fn enter(&self, now: u64, allowed: u64) -> Option<Ticket> {
        let allowed = allowed.min(Self::MOST);
        let mut part = self.part_of(now);
        loop {
            let slot = self.slot(part);
            let word = slot.load(Ordering::Acquire);
            let held = Slot::of(word);
            // Others are further on: what they have counted must stay so.
            if held.part > part {
                part = held.part;
                continue;
            }
            if held.part == part && held.closed {
                part += 1;
                continue;
            }
            let here = if held.part == part { held.count } else { 0 };
            if self.close_before(part) + here >= allowed {
                return None;
            }
            let next = Slot { part, closed: false, count: here + 1 }.word();
            if slot.compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Some(Ticket(part));
            }
        }
    }

    /// Takes one back that was let in.
    pub(super) fn take_back(&self, Ticket(part): Ticket) {
        let less = |word| {
            let held = Slot::of(word);
            let count = held.count.checked_sub(1).filter(|_| held.part == part)?;
            Some(Slot { count, ..held }.word())
        };
        // A part that is over and done with has nothing to take back.
        let _ = self.slot(part).fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    /// How many there are now.
    pub(super) fn count(&self, now: u64) -> u64 {
        let part = self.part_of(now);
        self.sum(part.saturating_sub(PARTS), part)
    }

    /// How many there were when the part that is running began.
    pub(super) fn before(&self, now: u64) -> u64 {
        let part = self.part_of(now);
        self.sum(part.saturating_sub(PARTS + 1), part - 1)
    }

    fn sum(&self, first: u64, last: u64) -> u64 {
        (first.max(1)..=last)
            .map(|part| {
                let held = Slot::of(self.slot(part).load(Ordering::Acquire));
                if held.part == part { held.count } else { 0 }
            })
            .sum()
    }

    /// Closes the parts that count beside `part` and adds them up.
    fn close_before(&self, part: u64) -> u64 {
        (part.saturating_sub(PARTS).max(1)..part).map(|earlier| self.close(earlier)).sum()
    }

    fn close(&self, part: u64) -> u64 {
        let slot = self.slot(part);
        let mut word = slot.load(Ordering::Acquire);
        loop {
            let held = Slot::of(word);
            // Further on, the caller is late and its exchange will fail.
            if held.part > part {
                return 0;
            }
            let count = if held.part == part { held.count } else { 0 };
            if held.part == part && held.closed {
                return count;
            }
            let closed = Slot { part, closed: true, count }.word();
            match slot.compare_exchange(word, closed, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return count,
                Err(other) => word = other,
            }
        }
    }

    /// From 1: a slot that holds 0 was never used.
    fn part_of(&self, now: u64) -> u64 {
        now / self.part + 1
    }

    fn slot(&self, part: u64) -> &AtomicU64 {
        // Less than SLOTS.
        &self.slots[(part % SLOTS) as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    fn second() -> Window {
        Window::new(Duration::from_secs(1))
    }

    /// The most that passed within `interval`, from instants in order.
    fn densest(passed: &[u64], interval: u64) -> usize {
        let mut within = VecDeque::new();
        let mut most = 0;
        for &at in passed {
            within.push_back(at);
            while within.front().is_some_and(|&first| at - first >= interval) {
                within.pop_front();
            }
            most = most.max(within.len());
        }
        most
    }

    #[test]
    fn what_passed_counts_for_the_interval_and_a_part_at_most() {
        let window = second();
        assert!(window.enter(10 * MS, 2).is_some() && window.enter(10 * MS, 2).is_some());
        for blocked in [10, 500, 1009, 1010] {
            assert!(window.enter(blocked * MS, 2).is_none(), "{blocked}");
        }
        assert!(window.enter(1061 * MS, 2).is_some());
        assert_eq!((window.count(1061 * MS), window.before(1061 * MS)), (1, 2));
        assert!(window.enter(1_000_000 * MS, 1).is_some(), "after a long rest");
        assert!(window.enter(2_000_000 * MS, 0).is_none());
    }

    #[test]
    fn what_is_taken_back_is_free_again() {
        let window = second();
        let ticket = window.enter(0, 1).unwrap();
        assert!(window.enter(900 * MS, 1).is_none());
        window.take_back(ticket);
        window.take_back(ticket);
        assert!(window.enter(900 * MS, 1).is_some());
        assert!(window.enter(900 * MS, 1).is_none());
    }

    #[test]
    fn a_late_worker_counts_with_the_others() {
        let window = second();
        assert!(window.enter(5000 * MS, 1).is_some());
        for late in [4999, 4000, 10] {
            assert!(window.enter(late * MS, 1).is_none(), "{late}");
        }
    }

    #[test]
    fn workers_that_race_let_no_more_in() {
        const ALLOWED: u64 = 50;
        let window = second();
        let clock = AtomicU64::new(0);
        let passed = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut mine = Vec::new();
                    for _ in 0..50_000 {
                        // 10 s in all.
                        let now = clock.fetch_add(MS / 20, Ordering::Relaxed);
                        if let Some(Ticket(part)) = window.enter(now, ALLOWED) {
                            // A late worker is let in at the time of the others.
                            mine.push(now.max((part - 1) * window.part));
                        }
                    }
                    passed.lock().unwrap().extend(mine);
                });
            }
        });
        let mut passed = passed.into_inner().unwrap();
        passed.sort_unstable();
        assert!(densest(&passed, 1000 * MS) as u64 <= ALLOWED);
        assert!(passed.len() as u64 >= 9 * ALLOWED, "{}", passed.len());
    }

    proptest! {
        #[test]
        fn never_more_than_allowed_and_never_starved(
            steps in prop::collection::vec(0_u64..400, 1..400),
            allowed in 1_u64..20,
            interval in prop::sample::select(vec![1_u64, 10, 1000, 60_000]),
        ) {
            let window = Window::new(Duration::from_millis(interval));
            let interval = interval * MS;
            let (mut now, mut passed) = (0, Vec::new());
            for step in steps {
                // Up to 0.4 of an interval.
                now += step * interval / 1000;
                let within = passed.iter().filter(|&&at| now - at < interval + interval / PARTS).count() as u64;
                let entered = window.enter(now, allowed).is_some();
                // Whoever finds room by the longer count is let in.
                prop_assert!(entered || within >= allowed);
                if entered {
                    passed.push(now);
                }
            }
            prop_assert!(densest(&passed, interval) as u64 <= allowed);
        }

        #[test]
        fn who_asks_all_the_time_gets_nearly_all(allowed in 1_u64..40, start in 0_u64..5_000) {
            let window = second();
            let entered = (0..10_500_u64).filter(|ms| window.enter((start + ms) * MS, allowed).is_some()).count() as u64;
            prop_assert!((10 * allowed..=11 * allowed).contains(&entered), "{entered}");
        }
    }
}
