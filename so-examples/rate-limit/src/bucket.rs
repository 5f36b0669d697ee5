//! Token buckets that each worker has to itself, and that may be read from
//! elsewhere.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One bucket for each worker. A bucket is one number: the time, on the host's
/// clock, at which it will be full. Taking a token puts that off by the time
/// that one takes to drip in.
#[derive(Debug)]
pub struct Buckets(Box<[Line]>);

/// A line of cache, so that workers do not wait for each other.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line(AtomicU64);

/// How fast a worker's bucket fills, and how much it holds; in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time for one token.
    pub token: u64,
    /// Time for all that it holds.
    pub whole: u64,
}

impl Buckets {
    pub fn full(workers: u32) -> Buckets {
        Buckets((0..workers).map(|_| Line::default()).collect())
    }

    /// Takes a token of `worker` at `now`, or says how long it takes until
    /// there is one.
    pub fn take(&self, worker: u32, pace: Pace, now: Duration) -> Result<(), Duration> {
        let Some(Line(full_at)) = self.0.get(worker as usize) else { return Ok(()) };
        let now = nanos(now);
        // What came over may be of a larger bucket, or of nobody's: at worst
        // this one is empty, as of now.
        let missing = full_at.load(Ordering::Relaxed).saturating_sub(now).min(pace.whole);
        let after = missing.saturating_add(pace.token);
        let (kept, taken) = match after > pace.whole {
            true => (missing, Err(Duration::from_nanos(after - pace.whole))),
            false => (after, Ok(())),
        };
        // Only this worker takes from this bucket.
        full_at.store(now.saturating_add(kept), Ordering::Relaxed);
        taken
    }

    /// When each worker's bucket will be full.
    pub fn full_at(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().map(|line| line.0.load(Ordering::Relaxed))
    }

    /// Takes from each bucket what was taken from another one.
    pub fn put_off(&self, until: &[u64]) {
        for (line, &until) in self.0.iter().zip(until) {
            line.0.fetch_max(until, Ordering::Relaxed);
        }
    }
}

pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
