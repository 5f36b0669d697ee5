//! What is counted of a cluster's handshakes of TLS.

use std::sync::{Arc, OnceLock};

use sidegate_api::{Metrics, TlsMeters};

use crate::Cluster;

/// Defined at the first handshake: most clusters speak clear text.
#[derive(Debug)]
pub(crate) struct LazyTlsMeters {
    metrics: Metrics,
    defined: OnceLock<Option<Arc<TlsMeters>>>,
}

impl LazyTlsMeters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        LazyTlsMeters { metrics: metrics.clone(), defined: OnceLock::new() }
    }

    #[cold]
    fn define(&self, cluster: &str) -> Option<Arc<TlsMeters>> {
        let defined = TlsMeters::of_cluster(&self.metrics, cluster);
        defined.inspect_err(|error| tracing::warn!(cluster, %error, "TLS is not counted")).ok()
    }
}

impl Cluster {
    /// What its handshakes are counted in; `None`: there was no room for it.
    pub fn tls_meters(&self) -> Option<&Arc<TlsMeters>> {
        let lazy = &self.shared.tls;
        lazy.defined.get_or_init(|| lazy.define(self.name())).as_ref()
    }
}
