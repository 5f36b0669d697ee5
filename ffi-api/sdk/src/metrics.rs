//! Metric handles: defined in a factory, updated from any thread without lock
//! or lookup.

use sidegate_abi as abi;

use crate::host::{check, host_fn, Host};
use crate::ConfigError;

#[derive(Debug, Clone, Copy)]
struct Metric {
    host: Host,
    number: u64,
}

fn define(host: Host, kind: u32, name: &str, labels: &[(&str, &str)]) -> Result<Metric, ConfigError> {
    let labels: Vec<abi::Header> = labels
        .iter()
        .map(|(name, value)| abi::Header {
            name: abi::Slice::from_bytes(name.as_bytes()),
            value: abi::Slice::from_bytes(value.as_bytes()),
        })
        .collect();
    let mut number = 0;
    host_fn!(host, metric_define)
        .and_then(|define| {
            let name = abi::Slice::from_bytes(name.as_bytes());
            // SAFETY: name and labels are lent for the call, `number` is ours.
            check(unsafe { define(host.module(), kind, name, labels.as_ptr(), labels.len() as u64, &mut number) })
        })
        .map_err(|error| ConfigError::new("", format_args!("metric `{name}`: {error}")))?;
    Ok(Metric { host, number })
}

impl Metric {
    fn add(self, delta: i64) {
        if let Ok(add) = host_fn!(self.host, metric_add) {
            // SAFETY: any thread; the number was defined by this module.
            let _ = unsafe { add(self.host.module(), self.number, delta) };
        }
    }
}

/// Only grows.
#[derive(Debug, Clone, Copy)]
pub struct Counter(Metric);

impl Counter {
    pub(crate) fn define(host: Host, name: &str, labels: &[(&str, &str)]) -> Result<Self, ConfigError> {
        define(host, abi::METRIC_COUNTER, name, labels).map(Counter)
    }

    /// Adds one.
    #[inline]
    pub fn inc(self) {
        self.0.add(1);
    }

    /// Adds `count`, at most `i64::MAX` at a time.
    #[inline]
    pub fn add(self, count: u64) {
        self.0.add(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// Goes up and down.
#[derive(Debug, Clone, Copy)]
pub struct Gauge(Metric);

impl Gauge {
    pub(crate) fn define(host: Host, name: &str, labels: &[(&str, &str)]) -> Result<Self, ConfigError> {
        define(host, abi::METRIC_GAUGE, name, labels).map(Gauge)
    }

    /// Moves the level.
    #[inline]
    pub fn add(self, delta: i64) {
        self.0.add(delta);
    }

    /// Sets the level.
    #[inline]
    pub fn set(self, level: i64) {
        if let Ok(set) = host_fn!(self.0.host, metric_set) {
            // SAFETY: any thread; the number was defined by this module.
            let _ = unsafe { set(self.0.host.module(), self.0.number, level) };
        }
    }
}

/// Distribution of values.
#[derive(Debug, Clone, Copy)]
pub struct Histogram(Metric);

impl Histogram {
    pub(crate) fn define(host: Host, name: &str, labels: &[(&str, &str)]) -> Result<Self, ConfigError> {
        define(host, abi::METRIC_HISTOGRAM, name, labels).map(Histogram)
    }

    /// Counts one observation.
    #[inline]
    pub fn observe(self, value: f64) {
        if let Ok(observe) = host_fn!(self.0.host, metric_observe) {
            // SAFETY: any thread; the number was defined by this module.
            let _ = unsafe { observe(self.0.host.module(), self.0.number, value) };
        }
    }
}
