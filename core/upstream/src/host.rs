//! Hosts: the part of them that outlives the snapshots they appear in.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sidegate_api::{Address, PeerText};

use crate::lb::Latency;
use crate::metrics::UpstreamMetrics;
use crate::outlier::{Ejection, Streaks};
use crate::panic::HealthEpoch;
use crate::registry::KnownHost;

/// One host of one cluster: the part that does not change when the
/// configuration does. The same for every snapshot and every worker.
#[derive(Debug)]
pub struct Host {
    text: Arc<PeerText>,
    /// Reasons not to choose it; see [`Reason`].
    reasons: AtomicU8,
    metrics: UpstreamMetrics,
    cluster_metrics: Arc<UpstreamMetrics>,
    /// Of its cluster.
    epoch: Arc<HealthEpoch>,
    made: Instant,
    /// Since when it may be chosen: microseconds after `made`.
    well_since: AtomicU64,
    pub(crate) streaks: Streaks,
    /// Kept where the policy goes by it.
    pub(crate) latency: Latency,
    ejection: Mutex<Ejection>,
    /// Tells the registry when it goes.
    _known: KnownHost,
}

/// Whether a host may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It may.
    Healthy,
    /// It may not.
    Unhealthy,
}

/// Why a host may not be chosen: one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Its active health checks fail.
    FailedCheck = 1,
    /// It was ejected for its answers.
    Ejected = 2,
}

impl Host {
    pub(crate) fn new(
        address: Address,
        metrics: UpstreamMetrics,
        cluster_metrics: Arc<UpstreamMetrics>,
        epoch: Arc<HealthEpoch>,
        known: KnownHost,
    ) -> Self {
        let made = Instant::now();
        Host {
            text: Arc::new(PeerText::new(address)),
            reasons: AtomicU8::new(0),
            metrics,
            cluster_metrics,
            epoch,
            made,
            well_since: AtomicU64::new(0),
            streaks: Streaks::default(),
            latency: Latency::new(made),
            ejection: Mutex::default(),
            _known: known,
        }
    }

    /// Its address, with its text.
    pub fn text(&self) -> &Arc<PeerText> {
        &self.text
    }

    /// Its address.
    pub fn address(&self) -> &Address {
        self.text.address()
    }

    /// Whether it may be chosen.
    #[inline]
    pub fn health(&self) -> Health {
        if self.reasons.load(Ordering::Relaxed) == 0 { Health::Healthy } else { Health::Unhealthy }
    }

    /// Whether `reason` keeps it from being chosen.
    pub fn is_out_for(&self, reason: Reason) -> bool {
        self.reasons.load(Ordering::Relaxed) & reason as u8 != 0
    }

    /// What active health checks say of it; seen by all workers at their next
    /// choice.
    pub fn set_health(&self, health: Health) {
        match health {
            Health::Healthy => self.lift(Reason::FailedCheck),
            Health::Unhealthy => self.take_out(Reason::FailedCheck),
        }
    }

    /// How long it may be chosen already, without a break.
    pub fn well_for(&self) -> Duration {
        self.made.elapsed().saturating_sub(Duration::from_micros(self.well_since.load(Ordering::Relaxed)))
    }

    /// Requests in progress at it, over all workers. Reads one cell per
    /// worker: memory that other cores write.
    #[inline]
    pub fn active_requests(&self) -> u64 {
        u64::try_from(self.metrics.request_active.get()).unwrap_or(0)
    }

    /// Connections to it, over all workers; at the cost of
    /// [`active_requests`](Self::active_requests).
    #[inline]
    pub fn active_connections(&self) -> u64 {
        u64::try_from(self.metrics.connection_active.get()).unwrap_or(0)
    }

    /// Its own series.
    pub fn metrics(&self) -> &UpstreamMetrics {
        &self.metrics
    }

    /// Counts something for the host and for its cluster:
    /// `host.count(|m| m.request_total.inc())`.
    #[inline]
    pub fn count(&self, update: impl Fn(&UpstreamMetrics)) {
        update(&self.metrics);
        update(&self.cluster_metrics);
    }

    pub(crate) fn take_out(&self, reason: Reason) {
        if self.reasons.fetch_or(reason as u8, Ordering::Relaxed) == 0 {
            self.epoch.advance();
        }
    }

    pub(crate) fn lift(&self, reason: Reason) {
        let before = self.reasons.fetch_and(!(reason as u8), Ordering::Relaxed);
        if before == reason as u8 {
            let now = u64::try_from(self.made.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.well_since.store(now, Ordering::Relaxed);
            self.epoch.advance();
        }
    }

    pub(crate) fn ejection(&self) -> MutexGuard<'_, Ejection> {
        self.ejection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
