//! One sink per target, however many logs go there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use sidegate_api::Metrics;

use super::{FlushOutcome, Handle, LogSink, LogSwitch, Pace};
use crate::{LogError, LogRotation, LogTarget};

/// The access logs' sinks by target: logs that name the same file share one
/// writer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LogSinks {
    metrics: Metrics,
    by_target: Arc<Mutex<BTreeMap<LogTarget, Weak<Handle>>>>,
}

impl LogSinks {
    /// No sinks yet; lines that will be lost are counted in `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        LogSinks { metrics, by_target: Arc::default() }
    }

    /// The sink for `target`, opened now if no log in use has it. The first
    /// that opens a target says how it is rotated.
    pub fn open(&self, target: &LogTarget, rotation: Option<LogRotation>) -> Result<LogSink, LogError> {
        let mut by_target = self.by_target.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = by_target.get(target).and_then(Weak::upgrade) {
            return Ok(LogSink(handle));
        }
        // Without room for another series the lines are still counted by the sink.
        let dropped = self.metrics.counter("sidegate_access_log_dropped_total", &[("path", &target.to_string())]).ok();
        let sink = LogSink::open(target.clone(), rotation, Pace::Batched, dropped)?;
        by_target.retain(|_, handle| handle.strong_count() > 0);
        by_target.insert(target.clone(), Arc::downgrade(&sink.0));
        Ok(sink)
    }

    /// The sinks in use.
    pub fn sinks(&self) -> Vec<LogSink> {
        let by_target = self.by_target.lock().unwrap_or_else(PoisonError::into_inner);
        by_target.values().filter_map(Weak::upgrade).map(LogSink).collect()
    }

    /// Opens every file again by its name.
    pub fn reopen_all(&self) {
        self.sinks().iter().for_each(LogSink::reopen);
    }

    /// Switches the log at `target`; `None` if there is no such log.
    pub fn switch(&self, target: &LogTarget, to: LogSwitch) -> Option<()> {
        let sink = self.sinks().into_iter().find(|sink| sink.target() == target)?;
        sink.switch(to);
        Some(())
    }

    /// How the log at `target` is set aside from now on, if there is one.
    pub fn rotate_as(&self, target: &LogTarget, rotation: Option<LogRotation>) {
        if let Some(sink) = self.sinks().into_iter().find(|sink| sink.target() == target) {
            sink.rotate_as(rotation);
        }
    }

    /// Waits until everything logged before is written, for all logs together
    /// no longer than `patience`.
    pub fn flush(&self, patience: Duration) -> FlushOutcome {
        let end = Instant::now() + patience;
        let mut outcome = FlushOutcome::Written;
        for sink in self.sinks() {
            if sink.flush(end.saturating_duration_since(Instant::now())) == FlushOutcome::TimedOut {
                outcome = FlushOutcome::TimedOut;
            }
        }
        outcome
    }
}
