//! What of clusters and hosts outlives the snapshots they appear in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sidegate_api::{Address, Counter, MetricError, Metrics, UpDown};

use crate::breakers::Used;
use crate::config::ClusterConfig;
use crate::host::Host;
use crate::metrics::UpstreamMetrics;
use crate::panic::{HealthEpoch, PanicMetrics};
use crate::retries::RetryMetrics;

/// Gives the same [`Host`] for the same cluster and address, as long as
/// anybody holds it: so health and levels survive a change of configuration.
/// The same for what a cluster has in use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HostRegistry {
    metrics: Metrics,
    known: Arc<Mutex<HashMap<Arc<str>, Known>>>,
}

#[derive(Debug, Default)]
struct Known {
    hosts: HashMap<Address, Weak<Host>>,
    shared: Weak<Shared>,
}

/// What all snapshots of one cluster have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) metrics: Arc<UpstreamMetrics>,
    /// Of hosts that are found when there is no room for more series; there if
    /// hosts are found at all. Series are not given back when a host goes, so a
    /// name with ever new addresses gets there some day.
    other_hosts: Option<UpstreamMetrics>,
    pub(crate) used: Arc<Used>,
    pub(crate) health: Arc<HealthEpoch>,
    pub(crate) panic: PanicMetrics,
    pub(crate) retries: RetryMetrics,
    /// Connects given up for a reason of our own.
    pub(crate) exhausted: Counter,
    /// Held while a host is ejected, so that two do not go as the last.
    pub(crate) ejecting: Mutex<()>,
}

/// Series of a cluster that ejects hosts.
#[derive(Debug)]
pub(crate) struct EjectionMetrics {
    pub(crate) total: Counter,
    pub(crate) active: UpDown,
}

impl HostRegistry {
    /// An empty registry; series are defined in `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        HostRegistry { metrics, known: Arc::default() }
    }

    /// The host at `address` in `cluster`; a new one is healthy.
    pub(crate) fn host(
        &self,
        cluster: &Arc<str>,
        shared: &Shared,
        address: &Address,
    ) -> Result<Arc<Host>, MetricError> {
        let mut known = self.known();
        let hosts = &mut known.entry(cluster.clone()).or_default().hosts;
        if let Some(host) = hosts.get(address).and_then(Weak::upgrade) {
            return Ok(host);
        }
        let own = UpstreamMetrics::for_host(&self.metrics, cluster, &address.to_string());
        let metrics = or_other(own, shared.other_hosts.as_ref())?;
        let host = Arc::new(Host::new(address.clone(), metrics, shared.metrics.clone(), shared.health.clone()));
        hosts.insert(address.clone(), Arc::downgrade(&host));
        Ok(host)
    }

    pub(crate) fn shared(&self, config: &ClusterConfig) -> Result<Arc<Shared>, MetricError> {
        let cluster = &config.name;
        let mut known = self.known();
        let known = known.entry(cluster.clone()).or_default();
        if let Some(shared) = known.shared.upgrade() {
            return Ok(shared);
        }
        let metrics = Arc::new(UpstreamMetrics::for_cluster(&self.metrics, cluster)?);
        let other_hosts = match &config.dns {
            Some(_) => Some(UpstreamMetrics::for_host(&self.metrics, cluster, "other")?),
            None => None,
        };
        let shared = Arc::new(Shared {
            metrics,
            other_hosts,
            used: Arc::default(),
            health: Arc::default(),
            panic: PanicMetrics::new(&self.metrics, cluster)?,
            retries: RetryMetrics::new(&self.metrics, cluster)?,
            exhausted: self.metrics.counter("upstream_connection_exhausted_total", &[("cluster", cluster)])?,
            ejecting: Mutex::default(),
        });
        known.shared = Arc::downgrade(&shared);
        Ok(shared)
    }

    pub(crate) fn ejection_metrics(&self, cluster: &str) -> Result<EjectionMetrics, MetricError> {
        self.metrics.together(&[("cluster", cluster)], |series| {
            Ok(EjectionMetrics {
                total: series.counter("upstream_ejections_total")?,
                active: series.up_down("upstream_ejections_active")?,
            })
        })
    }

    /// Forgets what nobody holds any more. To be called after a snapshot is
    /// gone.
    pub fn sweep(&self) {
        self.known().retain(|_, known| {
            known.hosts.retain(|_, host| host.strong_count() > 0);
            !known.hosts.is_empty() || known.shared.strong_count() > 0
        });
    }

    /// Number of hosts that are remembered.
    pub fn len(&self) -> usize {
        self.known().values().map(|known| known.hosts.len()).sum()
    }

    /// Whether no host is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Arc<str>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A host's own series, or else those of hosts for which there is no room.
fn or_other(
    own: Result<UpstreamMetrics, MetricError>,
    other: Option<&UpstreamMetrics>,
) -> Result<UpstreamMetrics, MetricError> {
    match (own, other) {
        (Err(MetricError::Limit), Some(other)) => Ok(other.clone()),
        (own, _) => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_beyond_the_last_series_share_some() {
        let other = UpstreamMetrics::for_host(&Metrics::new(1), "c", "other").unwrap();
        let full = || Err(MetricError::Limit);
        or_other(full(), Some(&other)).unwrap().request_total.inc();
        assert_eq!(other.request_total.get(), 1);
        assert_eq!(or_other(full(), None).unwrap_err(), MetricError::Limit);
        let bad = || Err(MetricError::BadName("x".into()));
        assert!(or_other(bad(), Some(&other)).is_err());
    }
}
