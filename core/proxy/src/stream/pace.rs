//! How fast a request has to arrive: between two pieces of its body, on the
//! average, and as a whole. Only time that is spent waiting for the client
//! counts against its rate: an upstream or a filter that is slow is not its
//! fault.

use std::num::NonZeroU64;
use std::time::Duration;

use sidegate_api::{ResetBy, ResponseFlags};
use sidegate_stream::Announced;

use crate::outcome::Stop;
use crate::stream::Stream;

/// How long a stream has waited for its request body.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    waited: Duration,
    /// When the present wait began, on the worker's clock.
    since_ms: Option<u64>,
    bound: Bound,
}

/// Which bound the client's deadline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Bound {
    #[default]
    Idle,
    Rate,
    Whole,
}

impl Pace {
    /// The client let its deadline pass.
    pub(crate) fn too_slow(&self) -> Stop {
        let details = match self.bound {
            Bound::Idle => "request_body_timeout",
            Bound::Rate => "request_body_too_slow",
            Bound::Whole => "request_timeout",
        };
        Stop::error(408, details, ResponseFlags::DOWNSTREAM_TIMEOUT, ResetBy::Downstream)
    }

    /// Nothing is awaited from the client any more.
    #[inline]
    pub(crate) fn stop(&mut self, now_ms: u64) {
        if let Some(since) = self.since_ms.take() {
            self.waited += Duration::from_millis(now_ms.saturating_sub(since));
        }
    }

    /// The least of these bounds, the first where they are equal.
    fn bind(&mut self, bounds: [(Option<Duration>, Bound); 3]) -> Option<Duration> {
        let bounds = bounds.into_iter().filter_map(|(left, bound)| Some((left?, bound)));
        let (left, bound) = bounds.min_by_key(|(left, _)| *left)?;
        self.bound = bound;
        Some(left)
    }
}

/// How long a body of `received` bytes may have been waited for.
fn allowed(rate: NonZeroU64, grace: Duration, received: u64) -> Duration {
    grace.saturating_add(Duration::from_millis(received.saturating_mul(1000) / rate))
}

/// The client is waited for, for the next part of its body: how long it may
/// take.
pub(crate) fn await_body(s: &mut Stream<'_>) -> Option<Duration> {
    let timeouts = &s.listener.config.timeouts;
    let pace = match s.start.body {
        Announced::Open => timeouts.chunked_pace,
        Announced::Nothing | Announced::Length(_) => timeouts.body_pace,
    };
    let now_ms = s.worker.deadlines.now_ms();
    s.pace.stop(now_ms);
    s.pace.since_ms = Some(now_ms);
    let (received, waited) = (s.state.info.bytes_received, s.pace.waited);
    let by_rate = pace.min_rate.map(|rate| allowed(rate, timeouts.body_rate_grace, received).saturating_sub(waited));
    let begun = s.state.info.start;
    let whole = pace.whole.map(|whole| whole.saturating_sub(begun.map(|b| b.elapsed()).unwrap_or_default()));
    s.pace.bind([(timeouts.request_body_idle, Bound::Idle), (by_rate, Bound::Rate), (whole, Bound::Whole)])
}

/// Something else is waited for.
#[inline]
pub(crate) fn body_came(s: &mut Stream<'_>) {
    s.pace.stop(s.worker.deadlines.now_ms());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_buys_time_beyond_the_grace() {
        let rate = NonZeroU64::new(500).unwrap();
        let grace = Duration::from_secs(20);
        for (received, seconds) in [(0, 20.0), (250, 20.5), (500, 21.0), (5000, 30.0)] {
            assert_eq!(allowed(rate, grace, received).as_secs_f64(), seconds, "{received}");
        }
        assert!(allowed(NonZeroU64::MIN, grace, u64::MAX) > Duration::from_secs(1 << 40));
    }

    #[test]
    fn only_waiting_counts_and_the_least_bound_is_named() {
        let mut pace = Pace::default();
        pace.stop(500);
        assert_eq!(pace.waited, Duration::ZERO);
        pace.since_ms = Some(1000);
        pace.stop(1500);
        pace.stop(9000);
        assert_eq!(pace.waited, Duration::from_millis(500));
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(pace.bind([(seconds(9), Bound::Idle), (seconds(3), Bound::Rate), (None, Bound::Whole)]), seconds(3));
        assert_eq!(pace.bound, Bound::Rate);
        assert_eq!(pace.bind([(None, Bound::Idle), (None, Bound::Rate), (None, Bound::Whole)]), None);
    }
}
