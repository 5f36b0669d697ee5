//! What a series is, and how it reads.

use std::sync::Arc;

/// What a series measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Distribution over fixed buckets.
    Histogram,
    /// The same of durations, read in seconds.
    Durations,
    /// The same of durations that are far below a millisecond as a rule.
    CallTimes,
}

/// A series could not be defined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// Not `[a-zA-Z_:][a-zA-Z0-9_:]*`, or a label name that is not.
    #[error("`{0}` is not a metric or label name")]
    BadName(String),
    /// Known with another kind.
    #[error("`{0}` is already defined with another kind")]
    KindConflict(String),
    /// Too many series.
    #[error("too many metric series")]
    Limit,
}

/// Upper bounds of the histogram buckets for latencies, in milliseconds.
pub const LATENCY_BUCKETS_MS: [f64; 14] =
    [0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 5000.0, 10000.0];

/// Upper bounds of the histogram buckets for the times of calls, in
/// microseconds; as many.
pub(super) const CALL_BUCKETS_US: [f64; LATENCY_BUCKETS_MS.len()] =
    [1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 1e4, 1e5, 1e6];

/// One series as read.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name, as in Prometheus.
    pub name: Arc<str>,
    /// Labels in definition order.
    pub labels: Arc<[(String, String)]>,
    /// Value.
    pub value: SeriesValue,
}

/// Value of a series.
#[derive(Debug, Clone, PartialEq)]
pub enum SeriesValue {
    /// Total.
    Counter(u64),
    /// Level.
    Gauge(i64),
    /// Bucket bounds with cumulative counts, sum and count.
    Histogram {
        /// `(upper bound, observations up to it)`.
        buckets: Vec<(f64, u64)>,
        /// Sum of all observations, rounded to thousandths.
        sum: f64,
        /// Number of observations.
        count: u64,
    },
}

/// Whether `text` may be the name of a series.
pub(super) fn is_metric_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b':'))
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'))
}
