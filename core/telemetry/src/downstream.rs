//! Statistics of one listener's connections and requests, under MOSN's names.

use std::sync::Arc;
use std::time::Duration;

use sidegate_api::{
    Completion, Counter, Histogram, MetricError, Metrics, Observation, ResetBy, ResponseFlags, TlsMeters, Together,
    UpDown,
};

use crate::{DownstreamHttp2Stats, RouteStats};

/// Handles of the `downstream_*{listener="…"}` series. The series
/// `downstream_*{proxy="global"}` are sums made when metrics are rendered, so
/// that a request pays once.
#[derive(Debug, Clone)]
pub struct DownstreamStats {
    connection_total: Counter,
    connection_destroy: Counter,
    connection_active: UpDown,
    bytes_read_total: Counter,
    bytes_write_total: Counter,
    request_total: Counter,
    request_active: UpDown,
    request_reset: Counter,
    request_failed: Counter,
    request_mirrored: Counter,
    request_mirror_dropped: Counter,
    request_time: Histogram,
    request_time_total: Counter,
    process_time: Histogram,
    process_time_total: Counter,
    /// In the order of [`CODES`], then all others.
    codes: [Counter; CODES.len() + 1],
    /// What only HTTP/2 has.
    pub http2: DownstreamHttp2Stats,
    /// What only TLS has, where the listener speaks it.
    pub tls: Option<Arc<TlsMeters>>,
}

/// Status codes that have a counter of their own, as in MOSN.
const CODES: [u16; 13] = [200, 206, 302, 304, 400, 403, 404, 416, 499, 500, 502, 503, 504];

impl DownstreamStats {
    /// The series of the listener called `listener`; the same ones each time.
    pub fn new(metrics: &Metrics, listener: &str) -> Result<Self, MetricError> {
        metrics.together(&[("listener", listener)], Self::define)
    }

    fn define(series: &Together<'_>) -> Result<Self, MetricError> {
        let counter = |key: &str| series.counter(&format!("downstream_{key}"));
        let up_down = |key: &str| series.up_down(&format!("downstream_{key}"));
        let histogram = |key: &str| series.histogram(&format!("downstream_{key}"));
        let mut codes = Vec::with_capacity(CODES.len());
        for code in CODES {
            codes.push(counter(&format!("request_{code}_total"))?);
        }
        let other = counter("request_other_code")?;
        Ok(DownstreamStats {
            connection_total: counter("connection_total")?,
            connection_destroy: counter("connection_destroy")?,
            connection_active: up_down("connection_active")?,
            bytes_read_total: counter("bytes_read_total")?,
            bytes_write_total: counter("bytes_write_total")?,
            request_total: counter("request_total")?,
            request_active: up_down("request_active")?,
            request_reset: counter("request_reset")?,
            request_failed: counter("request_failed")?,
            request_mirrored: counter("request_mirrored_total")?,
            request_mirror_dropped: counter("request_mirror_dropped_total")?,
            request_time: histogram("request_time")?,
            request_time_total: counter("request_time_total")?,
            process_time: histogram("process_time")?,
            process_time_total: counter("process_time_total")?,
            codes: std::array::from_fn(|index| codes.get(index).unwrap_or(&other).clone()),
            http2: DownstreamHttp2Stats::define(series)?,
            tls: None,
        })
    }

    /// A connection was accepted.
    #[inline]
    pub fn connection_opened(&self) {
        self.connection_total.inc();
        self.connection_active.inc();
    }

    /// A connection is gone. On the worker that opened it.
    #[inline]
    pub fn connection_closed(&self) {
        self.connection_destroy.inc();
        self.connection_active.dec();
    }

    /// Bytes arrived from a client.
    #[inline]
    pub fn bytes_read(&self, count: u64) {
        self.bytes_read_total.add(count);
    }

    /// Bytes went to a client.
    #[inline]
    pub fn bytes_written(&self, count: u64) {
        self.bytes_write_total.add(count);
    }

    /// A request began.
    #[inline]
    pub fn request_started(&self) {
        self.request_total.inc();
        self.request_active.inc();
    }

    /// A copy of a request is sent.
    pub fn mirrored(&self) {
        self.request_mirrored.inc();
    }

    /// A copy was not sent: its body is too large, too many are in flight, or
    /// there is no host for it.
    pub fn mirror_dropped(&self) {
        self.request_mirror_dropped.inc();
    }

    /// A request that was started has ended.
    ///
    /// `route` is the number of its route in those that are counted, and
    /// `details` the word that the access log has for the outcome.
    pub fn request_ended(&self, completion: &Completion, route: Option<(&RouteStats, u32)>, details: &str) {
        self.request_active.dec();
        if completion.reset_by != ResetBy::Nobody {
            self.request_reset.inc();
        }
        if completion.flags != ResponseFlags::default() && is_failed(completion, details) {
            self.request_failed.inc();
        }
        if completion.status != 0 {
            let index = CODES.iter().position(|&code| code == completion.status).unwrap_or(CODES.len());
            self.codes[index].inc();
        }
        let time = Observation::new(millis(completion.duration));
        self.request_time.record(time);
        if let Some((routes, route)) = route {
            routes.count(route, completion.status, time);
        }
        self.request_time_total.add(nanos(completion.duration));
        self.process_time.observe(millis(completion.process_duration));
        self.process_time_total.add(nanos(completion.process_duration));
    }
}

/// Whether the proxy failed the request, in MOSN's sense: what the upstream
/// answered, or failed to, is no failure of the proxy's.
#[cold]
fn is_failed(completion: &Completion, details: &str) -> bool {
    const FAILURES: [ResponseFlags; 7] = [
        ResponseFlags::NO_ROUTE,
        ResponseFlags::NO_HEALTHY_UPSTREAM,
        ResponseFlags::TOO_LARGE,
        ResponseFlags::FILTER_TERMINATED,
        ResponseFlags::DRAIN_TIMEOUT,
        ResponseFlags::OVERLOAD,
        ResponseFlags::INTERNAL,
    ];
    let has = |flag| completion.flags.contains(flag);
    // A fault may be passed over.
    let was_faulted = has(ResponseFlags::FILTER_FAULT) && (completion.status == 0 || completion.status >= 500);
    // Filters whose replies MOSN counts: `fault` and `payload_limit`.
    let was_injected = has(ResponseFlags::FILTER_REPLY) && matches!(details, "fault_injected" | "payload_limit");
    was_faulted || was_injected || FAILURES.into_iter().any(has)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use sidegate_api::SeriesValue;

    use super::*;

    fn read(metrics: &Metrics, name: &str) -> u64 {
        let series = metrics.read().into_iter().find(|s| &*s.name == name).unwrap();
        match series.value {
            SeriesValue::Counter(value) => value,
            SeriesValue::Gauge(value) => u64::try_from(value).unwrap(),
            SeriesValue::Histogram { count, .. } => count,
        }
    }

    #[test]
    fn requests_are_counted_once_by_outcome() {
        let metrics = Metrics::new(1);
        let stats = DownstreamStats::new(&metrics, "in").unwrap();
        let again = DownstreamStats::new(&metrics, "in").unwrap();
        for (status, reset_by) in
            [(200, ResetBy::Nobody), (404, ResetBy::Nobody), (418, ResetBy::Nobody), (504, ResetBy::Proxy)]
        {
            stats.request_started();
            let duration = Duration::from_millis(30);
            let process_duration = Duration::from_millis(10);
            again.request_ended(
                &Completion { status, reset_by, duration, process_duration, ..Default::default() },
                None,
                "",
            );
        }
        stats.request_started();
        stats.request_ended(&Completion { reset_by: ResetBy::Downstream, ..Default::default() }, None, "client_closed");
        stats.request_started();
        for (name, expected) in [
            ("downstream_request_total", 6),
            ("downstream_request_active", 1),
            ("downstream_request_reset", 2),
            ("downstream_request_failed", 0),
            ("downstream_request_200_total", 1),
            ("downstream_request_404_total", 1),
            ("downstream_request_504_total", 1),
            ("downstream_request_other_code", 1),
            ("downstream_request_time", 5),
            ("downstream_request_time_total", 120_000_000),
            ("downstream_process_time_total", 40_000_000),
        ] {
            assert_eq!(read(&metrics, name), expected, "{name}");
        }
    }

    #[test]
    fn failures_are_the_proxys_own() {
        type Flags = ResponseFlags;
        let upstreams = [
            (Flags::default(), 503, "", 0),
            (Flags::UPSTREAM_TIMEOUT, 504, "upstream_timeout", 0),
            (Flags::UPSTREAM_CONNECT, 502, "upstream_connect_failed", 0),
            (Flags::OVERFLOW, 503, "max_requests", 0),
            (Flags::FILTER_REPLY, 403, "module_reply", 0),
            (Flags::FILTER_FAULT, 200, "", 0),
        ];
        let own = [
            (Flags::NO_ROUTE, 404, "no_route", 1),
            (Flags::NO_HEALTHY_UPSTREAM, 502, "no_host", 1),
            (Flags::TOO_LARGE, 413, "body_too_large", 1),
            (Flags::FILTER_FAULT, 500, "filter_fault", 1),
            (Flags::FILTER_TERMINATED, 0, "filter_terminated", 1),
            (Flags::FILTER_REPLY, 503, "fault_injected", 1),
            (Flags::FILTER_REPLY, 413, "payload_limit", 1),
        ];
        for (flags, status, details, expected) in upstreams.into_iter().chain(own) {
            let metrics = Metrics::new(1);
            let stats = DownstreamStats::new(&metrics, "in").unwrap();
            stats.request_started();
            stats.request_ended(&Completion { status, flags, ..Default::default() }, None, details);
            assert_eq!(read(&metrics, "downstream_request_failed"), expected, "{flags:?} {details}");
        }
    }

    #[test]
    fn connections_come_and_go() {
        let metrics = Metrics::new(1);
        let stats = DownstreamStats::new(&metrics, "in").unwrap();
        stats.connection_opened();
        stats.connection_opened();
        stats.connection_closed();
        stats.bytes_read(10);
        stats.bytes_written(20);
        for (name, expected) in [
            ("downstream_connection_total", 2),
            ("downstream_connection_destroy", 1),
            ("downstream_connection_active", 1),
            ("downstream_bytes_read_total", 10),
            ("downstream_bytes_write_total", 20),
        ] {
            assert_eq!(read(&metrics, name), expected, "{name}");
        }
    }
}
