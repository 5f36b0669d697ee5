//! What is counted of changes.

use std::time::{SystemTime, UNIX_EPOCH};

use sidegate_api::{Counter, Gauge, MetricError, Metrics};

use crate::history::{Version, hex};
use crate::{Answer, Update, Why};

/// What changes come to, one counter each.
#[derive(Debug)]
struct Results([(&'static str, Counter); 5]);

/// Series of changes.
#[derive(Debug)]
pub(crate) struct Meters {
    metrics: Metrics,
    of_configurations: Results,
    of_modules: Results,
    of_hosts: Results,
    edited: Gauge,
    number: Gauge,
    last_success: Gauge,
    was_success: Gauge,
    /// Holds the series that carries the digest.
    info: Option<Gauge>,
}

impl Meters {
    pub(crate) fn new(metrics: &Metrics) -> Result<Self, MetricError> {
        Ok(Meters {
            metrics: metrics.clone(),
            of_configurations: Results::new(metrics, "sidegate_config_reload_total")?,
            of_modules: Results::new(metrics, "sidegate_module_reload_total")?,
            of_hosts: Results::new(metrics, "sidegate_live_edit_total")?,
            edited: metrics.gauge("sidegate_live_edited_clusters", &[])?,
            number: metrics.gauge("sidegate_config_number", &[])?,
            last_success: metrics.gauge("sidegate_config_last_reload_success_timestamp_seconds", &[])?,
            was_success: metrics.gauge("sidegate_config_last_reload_successful", &[])?,
            info: None,
        })
    }

    /// This runs now.
    pub(crate) fn runs(&mut self, version: &Version) {
        self.number.set(i64::try_from(version.number).unwrap_or(i64::MAX));
        self.last_success.set(seconds(version.time));
        self.was_success.set(1);
        if let Some(former) = self.info.take() {
            // It is shown once more.
            former.set(0);
        }
        let digest = hex(&version.digest);
        self.info = self.metrics.gauge("sidegate_config_info", &[("digest", &digest)]).ok();
        if let Some(info) = &self.info {
            info.set(1);
        }
    }

    /// So many clusters have other hosts than the file says.
    pub(crate) fn edited(&self, clusters: usize) {
        self.edited.set(i64::try_from(clusters).unwrap_or(i64::MAX));
    }

    /// A change came to this.
    pub(crate) fn came_to(&self, update: &Update, answer: &Answer) {
        let (result, success) = match answer {
            Ok(applied) if applied.unchanged => ("unchanged", Some(true)),
            Ok(_) => ("success", Some(true)),
            Err(refused) => match refused.why {
                Why::Configuration | Why::NeedsRestart | Why::Stale | Why::Exists | Why::NotEditable => {
                    ("rejected", Some(false))
                }
                Why::Environment | Why::Hung => ("failed", Some(false)),
                Why::Busy | Why::Draining | Why::NotFound | Why::NothingBefore => ("busy", None),
                Why::Superseded => return,
            },
        };
        match update {
            Update::Module(_) => self.of_modules.count(result),
            Update::Hosts(_) => self.of_hosts.count(result),
            Update::Reload | Update::Rollback => {
                self.of_configurations.count(result);
                if let Some(success) = success {
                    self.was_success.set(i64::from(success));
                }
                if success == Some(true) {
                    self.last_success.set(seconds(SystemTime::now()));
                }
            }
        }
    }
}

impl Results {
    /// There from the first moment on, so that a rate can be told.
    fn new(metrics: &Metrics, name: &str) -> Result<Self, MetricError> {
        let counter = |result| Ok((result, metrics.counter(name, &[("result", result)])?));
        Ok(Results([
            counter("success")?,
            counter("unchanged")?,
            counter("rejected")?,
            counter("failed")?,
            counter("busy")?,
        ]))
    }

    fn count(&self, result: &str) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == result) {
            counter.inc();
        }
    }
}

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(0)
}
