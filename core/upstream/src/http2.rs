//! What is counted of a cluster's HTTP/2 connections.

use std::sync::OnceLock;

use sidegate_api::{Counter, Metrics};

use crate::Cluster;

/// Series of a cluster whose hosts were spoken to in HTTP/2.
#[derive(Debug)]
pub struct Http2Metrics {
    /// Connections made.
    pub connections: Counter,
    /// Streams begun.
    pub streams: Counter,
    /// Connections that the host wanted to end.
    pub goaways: Counter,
    /// Requests that the host had not looked at.
    pub refused: Counter,
    /// Connections whose host did not answer a ping.
    pub pings_timed_out: Counter,
    /// Connections cut for too many frames of a kind.
    pub floods: Counter,
}

/// Defined when the first of them is counted: most clusters have none.
#[derive(Debug)]
pub(crate) struct LazyHttp2Metrics {
    metrics: Metrics,
    defined: OnceLock<Option<Http2Metrics>>,
}

impl LazyHttp2Metrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        LazyHttp2Metrics { metrics: metrics.clone(), defined: OnceLock::new() }
    }

    #[cold]
    fn define(&self, cluster: &str) -> Option<Http2Metrics> {
        let defined = self.metrics.together(&[("cluster", cluster)], |series| {
            Ok(Http2Metrics {
                connections: series.counter("upstream_http2_connections_total")?,
                streams: series.counter("upstream_http2_streams_total")?,
                goaways: series.counter("upstream_http2_goaways_total")?,
                refused: series.counter("upstream_http2_refused_streams_total")?,
                pings_timed_out: series.counter("upstream_http2_pings_timed_out_total")?,
                floods: series.counter("upstream_http2_floods_total")?,
            })
        });
        defined.inspect_err(|error| tracing::warn!(cluster, %error, "HTTP/2 is not counted")).ok()
    }
}

impl Cluster {
    /// Counts something of its HTTP/2 connections.
    #[inline]
    pub fn count_http2(&self, update: impl FnOnce(&Http2Metrics)) {
        let lazy = &self.shared.http2;
        if let Some(metrics) = lazy.defined.get_or_init(|| lazy.define(self.name())) {
            update(metrics);
        }
    }
}
