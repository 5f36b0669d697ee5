//! What the watchdog finds, in words and in metrics.

use std::sync::{Arc, OnceLock};

use sidegate_api::{Counter, Gauge, MetricError, Metrics};
use sidegate_watch::{At, Notice, Role, ThreadReport};

use crate::output::complain;

/// Series of workers, once there are metrics: the watchdog starts before them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hangs(Arc<OnceLock<Vec<Series>>>);

#[derive(Debug)]
struct Series {
    now: Gauge,
    total: Counter,
}

impl Hangs {
    /// Counts from now on in `metrics`.
    pub(crate) fn count_in(&self, metrics: &Metrics, workers: usize) -> Result<(), MetricError> {
        let series = (0..workers).map(|index| {
            let labels = [("worker", &*index.to_string())];
            Ok(Series {
                now: metrics.gauge("sidegate_worker_stuck", &labels)?,
                total: metrics.counter("sidegate_worker_stuck_total", &labels)?,
            })
        });
        let series = series.collect::<Result<_, MetricError>>()?;
        // A process counts in one store alone.
        let _ = self.0.set(series);
        Ok(())
    }

    /// Tells people and metrics.
    pub(crate) fn tell(&self, notice: &Notice) {
        match notice {
            Notice::Stuck { thread, role, at } => {
                if let Some(series) = self.series(*role) {
                    series.now.set(1);
                    series.total.inc();
                }
                error(&format_args!("{thread} hangs {}", place(*at)));
            }
            Notice::Free { thread, role, after } => {
                if let Some(series) = self.series(*role) {
                    series.now.set(0);
                }
                error(&format_args!("{thread} goes on after {:.1} s", after.as_secs_f64()));
            }
            Notice::Forked { times, thread, at } => {
                let last = match thread {
                    Some(thread) => format!("{thread} {}", place(*at)),
                    None => "a thread of a module's own".to_owned(),
                };
                error(&format_args!("forked {times} times, last by {last}"));
            }
        }
    }

    fn series(&self, role: Role) -> Option<&Series> {
        match role {
            Role::Worker(index) => self.0.get()?.get(index),
            Role::Jobs => None,
        }
    }
}

/// Thread and place, for people.
pub(crate) fn whereabouts(thread: &ThreadReport) -> String {
    format!("{} {}", thread.name, place(thread.at))
}

fn place(at: Option<At>) -> String {
    let Some(At { place, hook }) = at else { return "in the proxy's own code".to_owned() };
    let digest = place.digest().map(|digest| format!(" (sha256 {digest})")).unwrap_or_default();
    format!("in {}, {}{digest}", place.text(), hook.name())
}

/// To the log, or to stderr while there is none.
pub(crate) fn error(message: &dyn std::fmt::Display) {
    match tracing::dispatcher::has_been_set() {
        true => tracing::error!("{message}"),
        false => complain(message),
    }
}
