//! What Sentinel does beside plain limits: a slow start, and a steady pace.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// How many are allowed at present.
pub(super) enum Allowed {
    /// Always so many.
    Fixed(f64),
    /// Fewer after a rest.
    WarmUp(WarmUp),
}

/// Sentinel's warm-up: a store of tokens that fills while little passes. The
/// fuller it is, the less is allowed, down to `threshold / cold factor`.
pub(super) struct WarmUp {
    threshold: f64,
    /// Passes per second below which the store fills.
    idle: f64,
    /// Tokens from which on less is allowed.
    warning: f64,
    most: f64,
    /// Seconds per pass and token.
    slope: f64,
    /// Tokens, as the bits of a float.
    stored: AtomicU64,
    /// The second to which the store was brought.
    brought: AtomicU64,
}

/// Lets requests pass at even distances.
#[derive(Default)]
pub(super) struct Pacer {
    /// When the next may pass.
    next: AtomicU64,
}

impl WarmUp {
    pub(super) fn new(threshold: f64, period: Duration, cold_factor: u64) -> WarmUp {
        let (period, cold) = (period.as_secs_f64(), cold_factor as f64);
        let warning = period * threshold / (cold - 1.0);
        let above = 2.0 * period * threshold / (1.0 + cold);
        WarmUp {
            threshold,
            // Whole passes, as in Sentinel: what is allowed cold is at least this.
            idle: (threshold / cold).floor(),
            warning,
            most: warning + above,
            slope: if above > 0.0 { (cold - 1.0) / threshold / above } else { 0.0 },
            // Cold to begin with.
            stored: AtomicU64::new((warning + above).to_bits()),
            brought: AtomicU64::new(0),
        }
    }

    /// `passing` are the passes per second before `now`, in nanoseconds.
    fn allowed(&self, now: u64, passing: impl FnOnce() -> f64) -> f64 {
        self.bring_to(now / SECOND, passing);
        let stored = f64::from_bits(self.stored.load(Ordering::Relaxed));
        if stored < self.warning || self.threshold < 1.0 {
            return self.threshold;
        }
        // One at least: nothing would ever get warm of nothing. The quotient is
        // rounded, and what is whole must stay so.
        let allowed = 1.0 / ((stored - self.warning) * self.slope + 1.0 / self.threshold);
        (allowed + 1e-9).max(1.0)
    }

    /// Once a second: what passed is taken from the store, and what the seconds
    /// brought is added while it is cold, or empty enough.
    fn bring_to(&self, second: u64, passing: impl FnOnce() -> f64) {
        let brought = self.brought.load(Ordering::Relaxed);
        if second <= brought
            || self.brought.compare_exchange(brought, second, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let passing = passing();
        let gained = (second - brought) as f64 * self.threshold;
        let _ = self.stored.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
            let stored = f64::from_bits(bits);
            let fills = stored < self.warning || passing < self.idle;
            let filled = if fills { (stored + gained).min(self.most) } else { stored };
            Some((filled - passing).max(0.0).to_bits())
        });
    }
}

impl Allowed {
    pub(super) fn at(&self, now: u64, passing: impl FnOnce() -> f64) -> f64 {
        match self {
            Allowed::Fixed(allowed) => *allowed,
            Allowed::WarmUp(warm_up) => warm_up.allowed(now, passing),
        }
    }
}

impl Pacer {
    /// How long a request waits that comes `now` (nanoseconds), if it has to
    /// wait no longer than `most`; the next may pass `distance` after it.
    pub(super) fn place(&self, now: u64, distance: u64, most: u64) -> Option<Duration> {
        let mut next = self.next.load(Ordering::Relaxed);
        loop {
            let at = next.max(now);
            if at - now > most {
                return None;
            }
            let after = at.saturating_add(distance);
            match self.next.compare_exchange_weak(next, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(Duration::from_nanos(at - now)),
                Err(other) => next = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_are_evenly_apart_and_the_queue_is_bounded() {
        let pacer = Pacer::default();
        let wait = |now| pacer.place(now, 100, 250).map(|wait| wait.as_nanos());
        assert_eq!([wait(1000), wait(1000), wait(1050)], [Some(0), Some(100), Some(150)]);
        assert_eq!([wait(1050), wait(1051)], [Some(250), None]);
        assert_eq!([wait(5000), wait(5100), wait(5199)], [Some(0), Some(0), Some(1)]);
    }

    #[test]
    fn a_cold_start_gets_warm_under_load_and_cold_again_at_rest() {
        let warm_up = WarmUp::new(30.0, Duration::from_secs(4), 3);
        let mut allowed = Vec::new();
        let mut passing = 0.0;
        for second in 1..=30 {
            let now = warm_up.allowed(second * SECOND, || passing);
            // Whatever is allowed does pass.
            passing = now.floor();
            allowed.push(passing);
        }
        assert_eq!((allowed[0], allowed[29]), (10.0, 30.0), "{allowed:?}");
        assert!(allowed.is_sorted(), "{allowed:?}");
        assert!(allowed[8] > 20.0, "{allowed:?}");
        assert_eq!(warm_up.allowed(100 * SECOND, || 0.0).floor(), 10.0);
    }

    proptest! {
        /// Also the smallest thresholds, where less than one would be allowed.
        #[test]
        fn nothing_stays_cold_for_ever(threshold in 1_u32..200, period in 1_u64..20, cold in 2_u64..10) {
            let warm_up = WarmUp::new(threshold.into(), Duration::from_secs(period), cold);
            let mut passing = 0.0;
            for second in 1..2000 {
                let allowed = warm_up.allowed(second * SECOND, || passing);
                prop_assert!(allowed >= 1.0 && allowed <= f64::from(threshold) + 1e-6);
                passing = allowed.floor();
            }
            prop_assert!(passing + 1.0 >= f64::from(threshold), "{passing} of {threshold}");
        }

        #[test]
        fn no_two_places_are_nearer_than_they_may(
            steps in prop::collection::vec(0_u64..300, 1..200), distance in 1_u64..100, most in 0_u64..1000,
        ) {
            let pacer = Pacer::default();
            let (mut now, mut last) = (0, None);
            for step in steps {
                now += step;
                let place = pacer.place(now, distance, most).map(|wait| now + wait.as_nanos() as u64);
                if let (Some(place), Some(last)) = (place, last) {
                    prop_assert!(place >= last + distance && place <= now + most);
                }
                last = place.or(last);
            }
        }
    }
}
