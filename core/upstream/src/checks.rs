//! What active health checks do, as configured. They run elsewhere: this crate
//! does no I/O.

use std::num::{NonZeroU16, NonZeroU32};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// `health_check` of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheckConfig {
    /// Label of the statistics.
    pub service: Arc<str>,
    /// What is tried.
    pub probe: Probe,
    /// Bound on one check.
    pub timeout: Duration,
    /// From the end of one check to the next.
    pub interval: Duration,
    /// Up to this much is added to each interval, at random.
    pub interval_jitter: Duration,
    /// Before a host's first check.
    pub initial_delay: Duration,
    /// Good checks in a row that bring a host back.
    pub healthy_threshold: NonZeroU32,
    /// Bad checks in a row that take a host out.
    pub unhealthy_threshold: NonZeroU32,
    /// File that changes of health are written to, besides the process log.
    pub event_log: Option<Arc<str>>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A connection can be made.
    Connect,
    /// A request gets a response with an expected status.
    Http(HttpProbe),
}

/// `http_check_config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// What it is sent in.
    pub protocol: ProbeProtocol,
    /// Instead of the host's own port.
    pub port: Option<NonZeroU16>,
    /// Path and query.
    pub path: Arc<str>,
    /// Method.
    pub method: ProbeMethod,
    /// `host` of the request; `None`: the host's address.
    pub authority: Option<Arc<str>>,
    /// Statuses that are good.
    pub codes: Vec<RangeInclusive<u16>>,
}

/// What the request of a check is sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProbeProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2; in clear text by prior knowledge.
    Http2,
}

/// Method of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProbeMethod {
    /// GET.
    #[default]
    Get,
    /// HEAD.
    Head,
    /// OPTIONS.
    Options,
    /// POST, without a body.
    Post,
}

impl ProbeMethod {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            ProbeMethod::Get => "GET",
            ProbeMethod::Head => "HEAD",
            ProbeMethod::Options => "OPTIONS",
            ProbeMethod::Post => "POST",
        }
    }
}

impl HealthCheckConfig {
    /// MOSN's default for `interval`.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(15);
    /// MOSN's default for `timeout`.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
    /// MOSN's default for `interval_jitter`.
    pub const DEFAULT_JITTER: Duration = Duration::from_millis(5);

    /// Checks that connections can be made, with MOSN's defaults.
    pub fn new(service: impl Into<Arc<str>>) -> Self {
        HealthCheckConfig {
            service: service.into(),
            probe: Probe::Connect,
            timeout: Self::DEFAULT_TIMEOUT,
            interval: Self::DEFAULT_INTERVAL,
            interval_jitter: Self::DEFAULT_JITTER,
            initial_delay: Duration::ZERO,
            healthy_threshold: NonZeroU32::MIN,
            unhealthy_threshold: NonZeroU32::MIN,
            event_log: None,
        }
    }
}

impl HttpProbe {
    /// GET `path` in HTTP/1.1, and 200 expected.
    pub fn new(path: impl Into<Arc<str>>) -> Self {
        HttpProbe {
            protocol: ProbeProtocol::Http1,
            port: None,
            path: path.into(),
            method: ProbeMethod::Get,
            authority: None,
            codes: std::iter::once(200..=200).collect(),
        }
    }
}
