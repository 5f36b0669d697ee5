//! Slow start: a host that is new, or back, gets its share by and by.

use std::time::Duration;

/// `slow_start` of a cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowStart {
    /// How long it takes to the full share.
    pub duration: Duration,
    /// 1: the share grows evenly; above: faster in the beginning.
    pub aggression: f64,
    /// Share to begin with, in percent of the full one.
    pub min_weight_percent: f64,
}

impl SlowStart {
    /// MOSN's default for `aggression`.
    pub const DEFAULT_AGGRESSION: f64 = 1.0;
    /// MOSN's default for `min_weight_percent`.
    pub const DEFAULT_MIN_WEIGHT_PERCENT: f64 = 10.0;

    /// Part of its full share, from 0 to 1, that a host gets `age` after it
    /// appeared.
    pub(crate) fn share(&self, age: Duration) -> f64 {
        if age >= self.duration {
            return 1.0;
        }
        let progress = age.as_secs_f64() / self.duration.as_secs_f64();
        let grown = progress.powf(1.0 / self.aggression);
        grown.max(self.min_weight_percent / 100.0).min(1.0)
    }
}
