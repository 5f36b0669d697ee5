//! MOSN's `upstream_*` series of a cluster and of a host.

use sidegate_api::{Counter, Histogram, MetricError, Metrics, Together, UpDown};

/// Series of a cluster (`{cluster}`) or of one of its hosts
/// (`{cluster, host}`). The names are MOSN's; what MOSN shows as `_min` and
/// `_max` is a histogram here, in milliseconds.
///
/// Each is counted twice, for the host and for its cluster, as in MOSN:
/// [`Host::count`](crate::Host::count) does both.
#[derive(Debug, Clone)]
pub struct UpstreamMetrics {
    /// Connections opened.
    pub connection_total: Counter,
    /// Connections open.
    pub connection_active: UpDown,
    /// Connections closed, by whom and why ever.
    pub connection_close: Counter,
    /// Connections that could not be opened.
    pub connection_con_fail: Counter,
    /// Connections that we closed.
    pub connection_local_close: Counter,
    /// Connections that the host closed.
    pub connection_remote_close: Counter,
    /// Requests sent.
    pub request_total: Counter,
    /// Requests whose response has not ended.
    pub request_active: UpDown,
    /// Requests that we gave up.
    pub request_local_reset: Counter,
    /// Requests that the host gave up.
    pub request_remote_reset: Counter,
    /// Requests answered too late.
    pub request_timeout: Counter,
    /// Requests refused because of a limit.
    pub request_pending_overflow: Counter,
    /// Milliseconds from request to end of response, where there was one.
    pub request_duration_time: Histogram,
    /// Sum of the same, in nanoseconds.
    pub request_duration_time_total: Counter,
    /// Responses with a status below 500.
    pub response_success: Counter,
    /// Responses with a status of 500 or above, and requests without response.
    pub response_failed: Counter,
    /// Bytes read from connections.
    pub connection_bytes_read_total: Counter,
    /// Bytes written to connections; MOSN leaves `_total` off.
    pub connection_bytes_write: Counter,
}

impl UpstreamMetrics {
    /// The series of `cluster`.
    pub fn for_cluster(metrics: &Metrics, cluster: &str) -> Result<Self, MetricError> {
        metrics.together(&[("cluster", cluster)], Self::define)
    }

    /// The series of `host` in `cluster`.
    pub fn for_host(metrics: &Metrics, cluster: &str, host: &str) -> Result<Self, MetricError> {
        metrics.together(&[("cluster", cluster), ("host", host)], Self::define)
    }

    fn define(series: &Together<'_>) -> Result<Self, MetricError> {
        let counter = |name: &str| series.counter(name);
        let level = |name: &str| series.up_down(name);
        Ok(UpstreamMetrics {
            connection_total: counter("upstream_connection_total")?,
            connection_active: level("upstream_connection_active")?,
            connection_close: counter("upstream_connection_close")?,
            connection_con_fail: counter("upstream_connection_con_fail")?,
            connection_local_close: counter("upstream_connection_local_close")?,
            connection_remote_close: counter("upstream_connection_remote_close")?,
            request_total: counter("upstream_request_total")?,
            request_active: level("upstream_request_active")?,
            request_local_reset: counter("upstream_request_local_reset")?,
            request_remote_reset: counter("upstream_request_remote_reset")?,
            request_timeout: counter("upstream_request_timeout")?,
            request_pending_overflow: counter("upstream_request_pending_overflow")?,
            request_duration_time: series.histogram("upstream_request_duration_time")?,
            request_duration_time_total: counter("upstream_request_duration_time_total")?,
            response_success: counter("upstream_response_success")?,
            response_failed: counter("upstream_response_failed")?,
            connection_bytes_read_total: counter("upstream_connection_bytes_read_total")?,
            connection_bytes_write: counter("upstream_connection_bytes_write")?,
        })
    }
}
