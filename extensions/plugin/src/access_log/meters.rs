//! What is counted of one access log.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sidegate_api::{Counter, Gauge, MetricError, Metrics};
use tokio::time::Instant;

/// Losses are told at once, and then once in so long.
const PAUSE: Duration = Duration::from_secs(30);

/// Why a line is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// The queue had no room for it.
    QueueFull,
    /// The plugin did not take its batch for too long.
    Expired,
    /// The plugin answered its batch with an error.
    Refused,
    /// The plugin takes no access logs.
    Unserved,
    /// The process ended before the plugin took it.
    Stopped,
}

impl Loss {
    const ALL: [Loss; 5] = [Loss::QueueFull, Loss::Expired, Loss::Refused, Loss::Unserved, Loss::Stopped];

    /// Label of metrics.
    fn reason(self) -> &'static str {
        match self {
            Loss::QueueFull => "queue_full",
            Loss::Expired => "expired",
            Loss::Refused => "refused",
            Loss::Unserved => "unserved",
            Loss::Stopped => "stopped",
        }
    }
}

/// The series of one log.
#[derive(Debug)]
pub(super) struct Meters {
    pub(super) taken: Counter,
    pub(super) waiting: Gauge,
    dropped: [(Counter, AtomicU64); Loss::ALL.len()],
}

/// What was told of losses so far.
#[derive(Debug, Default)]
pub(super) struct Told {
    counts: [u64; Loss::ALL.len()],
    at: Option<Instant>,
}

impl Meters {
    pub(super) fn new(metrics: &Metrics, plugin: &str, log: &str) -> Result<Self, MetricError> {
        let labels = [("plugin", plugin), ("log", log)];
        let mut dropped = Vec::with_capacity(Loss::ALL.len());
        for loss in Loss::ALL {
            let labels = [("plugin", plugin), ("log", log), ("reason", loss.reason())];
            let counter = metrics.counter("sidegate_access_log_plugin_dropped_total", &labels)?;
            dropped.push((counter, AtomicU64::new(0)));
        }
        Ok(Meters {
            taken: metrics.counter("sidegate_access_log_plugin_lines_total", &labels)?,
            waiting: metrics.gauge("sidegate_access_log_plugin_waiting", &labels)?,
            dropped: dropped.try_into().map_err(|_| MetricError::Limit)?,
        })
    }

    #[cold]
    pub(super) fn lost(&self, loss: Loss, lines: u64) {
        if let Some((counter, count)) = self.dropped.get(loss as usize) {
            counter.add(lines);
            count.fetch_add(lines, Ordering::Relaxed);
        }
    }

    /// Lines lost since the log began.
    pub(super) fn total(&self) -> u64 {
        self.dropped.iter().map(|(_, count)| count.load(Ordering::Relaxed)).sum()
    }
}

impl Told {
    /// When there is something to tell, if nothing more comes.
    pub(super) fn due(&self, meters: &Meters) -> Option<Instant> {
        let is_told = self.counts.iter().sum::<u64>() == meters.total();
        (!is_told).then(|| self.at.map_or_else(Instant::now, |at| at + PAUSE))
    }

    /// What to tell now of losses since the last time.
    pub(super) fn tell(&mut self, meters: &Meters, now: Instant) -> Option<String> {
        let is_early = self.at.is_some_and(|at| at + PAUSE > now);
        if is_early { None } else { self.tell_all(meters, now) }
    }

    /// The same, however long ago the last time was.
    pub(super) fn tell_all(&mut self, meters: &Meters, now: Instant) -> Option<String> {
        let mut text = String::new();
        for ((loss, (_, count)), told) in Loss::ALL.iter().zip(&meters.dropped).zip(&mut self.counts) {
            let count = count.load(Ordering::Relaxed);
            let more = count.saturating_sub(std::mem::replace(told, count));
            if more > 0 {
                let comma = if text.is_empty() { "" } else { ", " };
                // Writing to a string does not fail.
                let _ = write!(text, "{comma}{}: {more}", loss.reason());
            }
        }
        (!text.is_empty()).then(|| {
            self.at = Some(now);
            text
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_at_once_and_then_once_in_a_while() {
        let meters = Meters::new(&Metrics::new(1), "p", "l").unwrap();
        let (mut told, start) = (Told::default(), Instant::now());
        let in_a_while = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!((told.due(&meters), told.tell(&meters, in_a_while(0))), (None, None));
        meters.lost(Loss::QueueFull, 2);
        meters.lost(Loss::Expired, 3);
        assert_eq!(told.tell(&meters, in_a_while(0)).unwrap(), "queue_full: 2, expired: 3");
        meters.lost(Loss::QueueFull, 1);
        assert_eq!(told.tell(&meters, in_a_while(29)), None);
        assert_eq!(told.due(&meters), Some(in_a_while(30)));
        assert_eq!(told.tell(&meters, in_a_while(30)).unwrap(), "queue_full: 1");
        assert_eq!(told.due(&meters), None);
        meters.lost(Loss::Stopped, 1);
        assert_eq!(told.tell_all(&meters, in_a_while(31)).unwrap(), "stopped: 1");
        assert_eq!(meters.total(), 7);
    }
}
