//! When requests of the open loop are due.

use std::time::{Duration, Instant};

/// Gaps of chance (a Poisson process), the same in every run.
pub(crate) struct Arrivals {
    random: fastrand::Rng,
    next: Instant,
    mean_gap: f64,
}

impl Arrivals {
    pub(crate) fn new(start: Instant, rate: f64) -> Arrivals {
        let mut arrivals = Arrivals { random: fastrand::Rng::with_seed(7), next: start, mean_gap: 1.0 / rate };
        arrivals.advance();
        arrivals
    }

    /// The time of a request that is due, if one is.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next;
        if due > now {
            return None;
        }
        self.advance();
        Some(due)
    }

    fn advance(&mut self) {
        let part = 1.0 - self.random.f64();
        self.next += Duration::from_secs_f64(-part.ln() * self.mean_gap);
    }
}
