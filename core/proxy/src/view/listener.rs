//! A listener on one worker.

use std::rc::Rc;

use sidegate_api::HeaderCase;
use sidegate_stream::{Limits, Spelling};
use sidegate_telemetry::{DownstreamStats, LogNeeds};

use super::{Complaints, Copies, HookTable, RouteView, Settings};
use crate::ProxyConfig;

/// Upstream response heads may be larger than what clients may send.
const RESPONSE_HEAD_BYTES: usize = 64 * 1024;

/// A listener's settings, and which filter wants what; lives until its last
/// stream has ended.
#[derive(Debug)]
pub(crate) struct ListenerView {
    pub(crate) config: Settings,
    /// Connections hold it without the rest.
    pub(crate) stats: Rc<DownstreamStats>,
    pub(crate) hooks: HookTable,
    /// What the access logs together want to be measured.
    pub(crate) log_needs: LogNeeds,
    /// Without what depends on routes and clusters.
    request_limits: Limits,
    pub(crate) response_limits: Limits,
    /// Copies of requests in flight.
    pub(crate) copies: Copies,
    /// About handshakes of TLS that failed.
    pub(crate) complaints: Rc<Complaints>,
}

impl ListenerView {
    /// `before`: the view that it replaces, if there is one.
    pub(crate) fn new(config: &ProxyConfig, stats: DownstreamStats, before: Option<&ListenerView>) -> Self {
        ListenerView {
            stats: Rc::new(stats),
            hooks: HookTable::new(&config.filters),
            log_needs: config.access_logs.iter().map(|log| log.format().needs()).collect(),
            request_limits: Limits {
                max_head_bytes: config.limits.max_header_bytes,
                max_headers: config.limits.max_headers,
                max_body: config.limits.max_request_body,
                target_bytes: config.target_bytes,
                ..Limits::default()
            },
            response_limits: Limits {
                max_head_bytes: RESPONSE_HEAD_BYTES,
                max_headers: config.limits.max_response_headers,
                max_body: None,
                spelling: match config.header_case {
                    HeaderCase::Preserve => Spelling::Keep,
                    HeaderCase::Lower | HeaderCase::Title => Spelling::Forget,
                },
                ..Limits::default()
            },
            copies: before.map(|before| before.copies.clone()).unwrap_or_default(),
            complaints: before.map(|before| before.complaints.clone()).unwrap_or_default(),
            config: Settings::of(config),
        }
    }

    /// Bounds on a request over HTTP/2 that is routed by `routes`.
    pub(crate) fn http2_request_limits(&self, routes: &RouteView) -> Limits {
        let max_head_bytes = self.config.http2.max_header_list_bytes as usize;
        Limits { max_head_bytes, ..self.request_limits(routes) }
    }

    /// Bounds on a request that is routed by `routes`.
    pub(crate) fn request_limits(&self, routes: &RouteView) -> Limits {
        Limits {
            slashes: routes.table().slashes(),
            // Any of the clusters may be where the request goes.
            spelling: routes.clusters.spelling(),
            ..self.request_limits.clone()
        }
    }
}
