//! What is counted of a plugin.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sidegate_api::{Counter, Gauge, Histogram, MetricError, Metrics};

use crate::call::Failure;
use crate::fault::Fault;

/// The series of one plugin.
#[derive(Debug)]
pub(crate) struct PluginMetrics {
    pub(crate) calls: Counter,
    pub(crate) cancelled: Counter,
    pub(crate) restarts: Counter,
    pub(crate) up: Gauge,
    pub(crate) in_flight: Gauge,
    latency: Histogram,
    failures: [Counter; Failure::REASONS.len()],
    faults: [Counter; Fault::ALL.len()],
    failed: AtomicU64,
}

impl PluginMetrics {
    pub(crate) fn new(metrics: &Metrics, plugin: &str) -> Result<Self, MetricError> {
        let labels = [("plugin", plugin)];
        let failure =
            |reason| metrics.counter("sidegate_plugin_call_failures_total", &[("plugin", plugin), ("reason", reason)]);
        let mut failures = Vec::with_capacity(Failure::REASONS.len());
        for reason in Failure::REASONS {
            failures.push(failure(reason)?);
        }
        let mut faults = Vec::with_capacity(Fault::ALL.len());
        for fault in Fault::ALL {
            let labels = [("plugin", plugin), ("fault", fault.name())];
            faults.push(metrics.counter("sidegate_plugin_faults_total", &labels)?);
        }
        Ok(PluginMetrics {
            calls: metrics.counter("sidegate_plugin_calls_total", &labels)?,
            cancelled: metrics.counter("sidegate_plugin_calls_cancelled_total", &labels)?,
            restarts: metrics.counter("sidegate_plugin_restarts_total", &labels)?,
            up: metrics.gauge("sidegate_plugin_up", &labels)?,
            in_flight: metrics.gauge("sidegate_plugin_calls_in_flight", &labels)?,
            latency: metrics.durations("sidegate_plugin_call_seconds", &labels)?,
            failures: failures.try_into().map_err(|_| MetricError::Limit)?,
            faults: faults.try_into().map_err(|_| MetricError::Limit)?,
            failed: AtomicU64::new(0),
        })
    }

    pub(crate) fn succeeded(&self, took: Duration) {
        self.calls.inc();
        self.latency.observe(took.as_secs_f64() * 1e3);
    }

    pub(crate) fn failed(&self, failure: &Failure) {
        self.calls.inc();
        self.failed.fetch_add(1, Ordering::Relaxed);
        let at = Failure::REASONS.iter().position(|reason| *reason == failure.reason());
        if let Some(counter) = at.and_then(|at| self.failures.get(at)) {
            counter.inc();
        }
    }

    /// Its process, or its connection, is no good any more.
    pub(crate) fn broke(&self, fault: Fault) {
        let at = Fault::ALL.iter().position(|known| *known == fault);
        if let Some(counter) = at.and_then(|at| self.faults.get(at)) {
            counter.inc();
        }
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}
