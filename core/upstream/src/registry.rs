//! What of clusters and hosts outlives the snapshots they appear in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use sidegate_api::{Address, Counter, MetricError, Metrics, UpDown};

use crate::breakers::Used;
use crate::config::ClusterConfig;
use crate::host::Host;
use crate::http2::LazyHttp2Metrics;
use crate::metrics::UpstreamMetrics;
use crate::panic::{HealthEpoch, PanicMetrics};
use crate::retries::RetryMetrics;
use crate::subset::SubsetMetrics;
use crate::tls_metrics::LazyTlsMeters;

/// Gives the same [`Host`] for the same cluster and address, as long as
/// anybody holds it: so health and levels survive a change of configuration.
/// The same for what a cluster has in use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HostRegistry {
    metrics: Metrics,
    known: Arc<Mutex<HashMap<Arc<str>, Known>>>,
    gone: Arc<Gone>,
}

/// Hosts (by cluster and address) and clusters that nobody holds any more: a
/// list of its own, since the last hold may be a worker's.
#[derive(Debug, Default)]
struct Gone(Mutex<Vec<(Arc<str>, Option<Address>)>>);

/// A host's entry in the registry, which goes after the host.
#[derive(Debug)]
pub(crate) struct KnownHost {
    cluster: Arc<str>,
    address: Address,
    gone: Arc<Gone>,
}

/// The same of what a cluster's snapshots have in common.
#[derive(Debug)]
struct KnownShared {
    cluster: Arc<str>,
    gone: Arc<Gone>,
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
    /// hosts are found at all.
    other_hosts: OnceLock<UpstreamMetrics>,
    pub(crate) used: Arc<Used>,
    pub(crate) health: Arc<HealthEpoch>,
    pub(crate) panic: PanicMetrics,
    pub(crate) retries: RetryMetrics,
    /// Connects given up for a reason of our own.
    pub(crate) exhausted: Counter,
    pub(crate) http2: LazyHttp2Metrics,
    pub(crate) tls: LazyTlsMeters,
    /// Held while a host is ejected, so that two do not go as the last.
    pub(crate) ejecting: Mutex<()>,
    _known: KnownShared,
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
        HostRegistry { metrics, known: Arc::default(), gone: Arc::default() }
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
        let metrics = or_other(own, shared.other_hosts.get())?;
        let entry = KnownHost { cluster: cluster.clone(), address: address.clone(), gone: self.gone.clone() };
        let host = Host::new(address.clone(), metrics, shared.metrics.clone(), shared.health.clone(), entry);
        let host = Arc::new(host);
        hosts.insert(address.clone(), Arc::downgrade(&host));
        Ok(host)
    }

    pub(crate) fn shared(&self, config: &ClusterConfig) -> Result<Arc<Shared>, MetricError> {
        let cluster = &config.name;
        let mut known = self.known();
        let shared = match known.get(cluster).and_then(|known| known.shared.upgrade()) {
            Some(shared) => shared,
            None => {
                let shared = self.new_shared(cluster)?;
                known.entry(cluster.clone()).or_default().shared = Arc::downgrade(&shared);
                shared
            }
        };
        if config.dns.is_some() && shared.other_hosts.get().is_none() {
            // The registry is locked, so nobody else has set it meanwhile.
            let _ = shared.other_hosts.set(UpstreamMetrics::for_host(&self.metrics, cluster, "other")?);
        }
        Ok(shared)
    }

    fn new_shared(&self, cluster: &Arc<str>) -> Result<Arc<Shared>, MetricError> {
        Ok(Arc::new(Shared {
            metrics: Arc::new(UpstreamMetrics::for_cluster(&self.metrics, cluster)?),
            other_hosts: OnceLock::new(),
            used: Arc::default(),
            health: Arc::default(),
            panic: PanicMetrics::new(&self.metrics, cluster)?,
            retries: RetryMetrics::new(&self.metrics, cluster)?,
            exhausted: self.metrics.counter("upstream_connection_exhausted_total", &[("cluster", cluster)])?,
            http2: LazyHttp2Metrics::new(&self.metrics),
            tls: LazyTlsMeters::new(&self.metrics),
            ejecting: Mutex::default(),
            _known: KnownShared { cluster: cluster.clone(), gone: self.gone.clone() },
        }))
    }

    pub(crate) fn subset_metrics(&self, cluster: &str) -> Result<SubsetMetrics, MetricError> {
        SubsetMetrics::new(&self.metrics, cluster)
    }

    pub(crate) fn ejection_metrics(&self, cluster: &str) -> Result<EjectionMetrics, MetricError> {
        self.metrics.together(&[("cluster", cluster)], |series| {
            Ok(EjectionMetrics {
                total: series.counter("upstream_ejections_total")?,
                active: series.up_down("upstream_ejections_active")?,
            })
        })
    }

    /// Forgets what nobody holds any more, at the cost of what went. It happens
    /// by itself when the next cluster is made.
    pub fn sweep(&self) {
        drop(self.known());
    }

    /// Number of hosts that are remembered.
    pub fn len(&self) -> usize {
        self.known().values().map(|known| known.hosts.len()).sum()
    }

    /// Whether no host is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is known, without what is gone.
    fn known(&self) -> MutexGuard<'_, HashMap<Arc<str>, Known>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (cluster, address) in self.gone.take() {
            let Some(of) = known.get_mut(&cluster) else { continue };
            // Another one may have taken its place.
            if let Some(address) = address
                && of.hosts.get(&address).is_some_and(|host| host.strong_count() == 0)
            {
                of.hosts.remove(&address);
            }
            if of.hosts.is_empty() && of.shared.strong_count() == 0 {
                known.remove(&cluster);
            }
        }
        known
    }
}

impl Gone {
    fn add(&self, cluster: &Arc<str>, address: Option<Address>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((cluster.clone(), address));
    }

    fn take(&self) -> Vec<(Arc<str>, Option<Address>)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for KnownHost {
    fn drop(&mut self) {
        self.gone.add(&self.cluster, Some(self.address.clone()));
    }
}

impl Drop for KnownShared {
    fn drop(&mut self) {
        self.gone.add(&self.cluster, None);
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
