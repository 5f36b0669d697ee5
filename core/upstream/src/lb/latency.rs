//! How slow a host was lately.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A moving average of latencies that follows a rise at once and a fall
/// slowly, so that a host that became slow is avoided from its first slow
/// response on. It fades while nothing is measured, so that the host gets
/// another chance.
#[derive(Debug)]
pub(crate) struct Latency {
    made: Instant,
    /// Milliseconds as `f32` bits in the upper half, time of the measurement
    /// in milliseconds after `made` in the lower, wrapping. Two workers may
    /// overwrite each other's measurement; then one of them is lost.
    latest: AtomicU64,
}

/// After this time a measurement weighs 1/e.
const FADING: Duration = Duration::from_secs(10);
/// A failure, however quick, counts as this slow: failing fast must not
/// attract requests.
const FAILURE_MS: f32 = 1000.0;

/// What a latency was measured of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measured {
    Response,
    Failure,
}

impl Latency {
    pub(crate) fn new(made: Instant) -> Self {
        Latency { made, latest: AtomicU64::new(0) }
    }

    pub(crate) fn observe(&self, now: Instant, elapsed: Duration, of: Measured) {
        let millis = elapsed.as_secs_f32() * 1000.0;
        let millis = if of == Measured::Failure { millis.max(FAILURE_MS) } else { millis };
        let (average, age) = self.read(now);
        let rest = fade(age);
        let next = if millis > average { millis } else { average * rest + millis * (1.0 - rest) };
        let stamp = self.stamp(now);
        self.latest.store(u64::from(next.to_bits()) << 32 | u64::from(stamp), Ordering::Relaxed);
    }

    /// Milliseconds; 0: nothing was measured lately.
    pub(crate) fn at(&self, now: Instant) -> f64 {
        let (average, age) = self.read(now);
        if average == 0.0 { 0.0 } else { f64::from(average * fade(age)) }
    }

    fn read(&self, now: Instant) -> (f32, Duration) {
        let latest = self.latest.load(Ordering::Relaxed);
        let average = f32::from_bits((latest >> 32) as u32);
        let age = self.stamp(now).wrapping_sub(latest as u32);
        // Another worker's clock may be a little ahead.
        let age = if age > u32::MAX / 2 { 0 } else { age };
        (average, Duration::from_millis(age.into()))
    }

    fn stamp(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.made).as_millis() as u32
    }
}

fn fade(age: Duration) -> f32 {
    (-age.as_secs_f32() / FADING.as_secs_f32()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_at_once_falls_slowly_and_fades() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let latency = Latency::new(start);
        assert_eq!(latency.at(at(5)), 0.0);
        latency.observe(at(10), Duration::from_millis(200), Measured::Response);
        assert_eq!(latency.at(at(10)), 200.0);
        latency.observe(at(110), Duration::from_millis(10), Measured::Response);
        let after = latency.at(at(110));
        assert!((190.0..200.0).contains(&after), "{after}");
        let later = latency.at(at(10_110));
        assert!((after * 0.36..after * 0.38).contains(&later), "{later}");
        latency.observe(at(10_120), Duration::ZERO, Measured::Failure);
        assert_eq!(latency.at(at(10_120)), 1000.0);
    }
}
