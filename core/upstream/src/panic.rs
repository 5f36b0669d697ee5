//! Panic: when too few hosts are well to carry the load, what is known of
//! their health is worth less than their number, and all are used.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sidegate_api::{Counter, MetricError, Metrics, UpDown};
use tokio::sync::Notify;

use crate::cluster::{Cluster, Member};
use crate::group::Group;
use crate::host::Health;
use crate::outlier::Counted;

/// `healthy_panic_threshold`: while fewer hosts than this many percent are
/// well, all are used. 0: those that are out stay out whatever happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PanicThreshold(u8);

impl PanicThreshold {
    /// `percent`; more than 100 is 100.
    pub const fn new(percent: u8) -> Self {
        PanicThreshold(if percent > 100 { 100 } else { percent })
    }

    /// The percent.
    pub fn percent(self) -> u8 {
        self.0
    }

    fn is_missed_by(self, healthy: usize, of: usize) -> bool {
        healthy * 100 < of * usize::from(self.0)
    }
}

impl Default for PanicThreshold {
    /// Envoy's default.
    fn default() -> Self {
        PanicThreshold(50)
    }
}

/// Numbers the states of health that a cluster's hosts were in, so that who
/// counts the healthy ones counts once per change.
#[derive(Debug, Default)]
pub(crate) struct HealthEpoch {
    number: AtomicU64,
    changed: Notify,
}

impl HealthEpoch {
    /// A host's health is another.
    #[cold]
    pub(crate) fn advance(&self) {
        self.number.fetch_add(1, Ordering::Release);
        self.changed.notify_one();
    }

    #[inline]
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }
}

/// Series of a cluster.
#[derive(Debug)]
pub(crate) struct PanicMetrics {
    /// Choices of a host in panic, as in Envoy.
    pub(crate) choices: Counter,
    /// The cluster, or those of its subsets, that are in panic.
    active: UpDown,
}

impl PanicMetrics {
    pub(crate) fn new(metrics: &Metrics, cluster: &str) -> Result<Self, MetricError> {
        metrics.together(&[("cluster", cluster)], |series| {
            Ok(PanicMetrics {
                choices: series.counter("upstream_lb_healthy_panic_total")?,
                active: series.up_down("upstream_lb_panic_active")?,
            })
        })
    }
}

/// What was last found of a group: the same for all workers, so that a
/// beginning and an end are told once.
#[derive(Debug, Default)]
pub(crate) struct PanicState(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Epoch that it is of.
    epoch: Option<u64>,
    /// There while it is in panic; goes with the group.
    active: Option<Counted>,
}

impl PanicState {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one worker uses all hosts of a group, and since which epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usable {
    epoch: Option<u64>,
    pub(crate) all: bool,
}

impl Usable {
    pub(crate) const UNKNOWN: Usable = Usable { epoch: None, all: false };

    /// Brings it up to date: a load and a comparison unless a host's health
    /// has changed.
    #[inline]
    pub(crate) fn update(&mut self, cluster: &Cluster, group: &Group) {
        let epoch = cluster.shared.health.number();
        if self.epoch != Some(epoch) {
            *self = Usable { epoch: Some(epoch), all: cluster.is_panicking(group, epoch) };
        }
    }
}

impl Cluster {
    /// Looks whether panic begins or ends. Choices do the same, but there may
    /// be none.
    pub fn review_panic(&self) {
        let epoch = self.shared.health.number();
        let subsets = self.subsets.iter().flat_map(|known| &known.subsets);
        for group in subsets.map(|subset| &subset.group).chain([&self.whole]) {
            self.is_panicking(group, epoch);
        }
    }

    /// Waits until the health of a host is another than before. For one waiter
    /// per cluster; what changed while it did not wait is not lost.
    pub fn health_changed(&self) -> impl Future<Output = ()> {
        self.shared.health.changed.notified()
    }

    /// Whether all hosts of `group` are to be used, as of `epoch`.
    #[cold]
    fn is_panicking(&self, group: &Group, epoch: u64) -> bool {
        let threshold = self.config.panic_threshold;
        let is_healthy = |member: &&Member| member.host.health() == Health::Healthy;
        let (healthy, hosts) = (group.members.iter().filter(is_healthy).count(), group.members.len());
        let panics = threshold.is_missed_by(healthy, hosts);
        let mut known = group.panic.known();
        // Another thread may have seen a later state already.
        if known.epoch.is_some_and(|of| of >= epoch) {
            return panics;
        }
        known.epoch = Some(epoch);
        if panics == known.active.is_some() {
            return panics;
        }
        known.active = panics.then(|| Counted::new(&self.shared.panic.active));
        let (cluster, subset) = (&**self.name(), group.label.as_deref());
        match panics {
            true => tracing::warn!(cluster, subset, healthy, hosts, "panic: too few hosts are well, so all are used"),
            false => tracing::info!(cluster, subset, healthy, hosts, "panic is over: hosts that are out are left out"),
        }
        panics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_than_the_share_and_none_without_a_threshold() {
        let half = PanicThreshold::default();
        for (healthy, of, panics) in
            [(0, 1, true), (1, 1, false), (1, 2, false), (1, 3, true), (2, 3, false), (0, 0, false), (49, 100, true)]
        {
            assert_eq!(half.is_missed_by(healthy, of), panics, "{healthy} of {of}");
        }
        assert!((0..5).all(|healthy| !PanicThreshold::new(0).is_missed_by(healthy, 5)));
        assert!(PanicThreshold::new(200).is_missed_by(4, 5) && !PanicThreshold::new(100).is_missed_by(5, 5));
    }
}
