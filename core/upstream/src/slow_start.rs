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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_grow() {
        let slow = |aggression| SlowStart { duration: Duration::from_secs(10), aggression, min_weight_percent: 10.0 };
        let share = |aggression, seconds: f64| slow(aggression).share(Duration::from_secs_f64(seconds));
        assert_eq!((share(1.0, 0.0), share(1.0, 5.0), share(1.0, 10.0), share(1.0, 99.0)), (0.1, 0.5, 1.0, 1.0));
        assert!(share(2.0, 2.5) == 0.5 && share(0.5, 5.0) == 0.25);
    }
}
