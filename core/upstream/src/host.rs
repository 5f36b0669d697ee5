//! Hosts and what outlives the snapshots they appear in.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sidegate_api::{Address, MetricError, Metrics, PeerText};

use crate::metrics::UpstreamMetrics;

/// One host of one cluster: the part that does not change when the
/// configuration does. The same for every snapshot and every worker.
#[derive(Debug)]
pub struct Host {
    text: Arc<PeerText>,
    healthy: AtomicBool,
    metrics: UpstreamMetrics,
    cluster_metrics: Arc<UpstreamMetrics>,
}

/// Whether a host may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It may.
    Healthy,
    /// A health check took it out.
    Unhealthy,
}

impl Host {
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
        if self.healthy.load(Ordering::Relaxed) { Health::Healthy } else { Health::Unhealthy }
    }

    /// Takes it out or back in; seen by all workers at their next choice.
    pub fn set_health(&self, health: Health) {
        self.healthy.store(health == Health::Healthy, Ordering::Relaxed);
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
}

/// Gives the same [`Host`] for the same cluster and address, as long as
/// anybody holds it: so health and levels survive a change of configuration.
/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct HostRegistry {
    metrics: Metrics,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    hosts: HashMap<Arc<str>, HashMap<Address, Weak<Host>>>,
}

impl HostRegistry {
    /// An empty registry; series are defined in `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        HostRegistry { metrics, known: Arc::default() }
    }

    /// The host at `address` in `cluster`; a new one is healthy.
    pub fn host(
        &self,
        cluster: &Arc<str>,
        cluster_metrics: &Arc<UpstreamMetrics>,
        address: &Address,
    ) -> Result<Arc<Host>, MetricError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let hosts = known.hosts.entry(cluster.clone()).or_default();
        if let Some(host) = hosts.get(address).and_then(Weak::upgrade) {
            return Ok(host);
        }
        let text = Arc::new(PeerText::new(address.clone()));
        let host = Arc::new(Host {
            metrics: UpstreamMetrics::for_host(&self.metrics, cluster, text.as_str())?,
            text,
            healthy: AtomicBool::new(true),
            cluster_metrics: cluster_metrics.clone(),
        });
        hosts.insert(address.clone(), Arc::downgrade(&host));
        Ok(host)
    }

    /// Forgets hosts that nobody holds any more. To be called after a
    /// snapshot is gone.
    pub fn sweep(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.hosts.retain(|_, hosts| {
            hosts.retain(|_, host| host.strong_count() > 0);
            !hosts.is_empty()
        });
    }

    /// Number of hosts that are remembered.
    pub fn len(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).hosts.values().map(HashMap::len).sum()
    }

    /// Whether no host is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}
