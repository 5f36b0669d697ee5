//! A listener's settings, without its filters.

use std::sync::Arc;
use std::time::Duration;

use sidegate_api::{HeaderCase, Http2Settings, Spoken};
use sidegate_stream::UpgradeProtocol;
use sidegate_telemetry::AccessLog;
use sidegate_tls::ListenerTls;

use crate::{Forwarding, Http1Limits, ProxyConfig, Timeouts};

/// What of a [`ProxyConfig`] streams need to their end: all but the filters,
/// which they may give up before. The fields are described there.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listener: Arc<str>,
    pub(crate) access_logs: Vec<AccessLog>,
    pub(crate) downstream: Spoken,
    pub(crate) http2: Http2Settings,
    pub(crate) limits: Http1Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) forwarding: Forwarding,
    pub(crate) upgrades: Vec<UpgradeProtocol>,
    pub(crate) header_case: HeaderCase,
    pub(crate) tls: Option<ListenerTls>,
}

impl Settings {
    pub(super) fn of(config: &ProxyConfig) -> Self {
        Settings {
            listener: config.listener.clone(),
            access_logs: config.access_logs.clone(),
            downstream: config.downstream,
            http2: config.http2,
            limits: config.limits,
            timeouts: config.timeouts,
            idle_timeout: config.idle_timeout,
            forwarding: config.forwarding,
            upgrades: config.upgrades.clone(),
            header_case: config.header_case,
            tls: config.tls.clone(),
        }
    }
}
