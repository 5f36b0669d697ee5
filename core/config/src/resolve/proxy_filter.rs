//! The `proxy` network filter.

use std::num::NonZeroU64;
use std::time::Duration;

use sidegate_api::{HeaderCase, Http2Settings, Spoken};
use sidegate_proxy::{
    BodyPace, ClientCertMode, ClientCertPart, ForwardClientCert, ForwardedFor, Forwarding, Http1Limits, ProxyConfig,
    RequestIdPolicy, TargetBytes, Timeouts, UpgradeProtocol,
};

use super::header_case::header_case;
use super::http2 as http2_options;
use super::spoken::{dead_upstream_protocol, downstream_protocol};
use crate::diagnostic::kind;
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// What the filter says.
pub(super) struct ProxyFilter<'a> {
    /// `router_config_name`
    pub router: Option<(Cursor<'a>, &'a str)>,
    pub downstream: Spoken,
    pub http2: Http2Settings,
    pub limits: Http1Limits,
    pub timeouts: Timeouts,
    pub forwarding: Forwarding,
    pub upgrades: Vec<UpgradeProtocol>,
    pub header_case: HeaderCase,
    /// `None`: it is for `compat` to say.
    pub target_bytes: Option<TargetBytes>,
}

pub(super) fn proxy_filter<'a>(config: &Cursor<'a>) -> Option<ProxyFilter<'a>> {
    let mut object = config.object(&schema::PROXY_FILTER)?;
    let downstream = object.get("downstream_protocol").and_then(|c| downstream_protocol(&c)).unwrap_or(Spoken::Http1);
    if let Some(protocol) = object.get("upstream_protocol") {
        dead_upstream_protocol(&protocol, downstream);
    }
    let router = object.required("router_config_name").and_then(|cursor| {
        let name = cursor.name()?;
        Some((cursor, name))
    });
    let mut limits = Http1Limits::default();
    if let Some(extend) = object.get("extend_config").and_then(|c| c.object(&schema::EXTEND_CONFIG)) {
        extend_config(extend, &mut limits);
    }
    let mut rates = (Timeouts::default().body_pace.min_rate, Timeouts::default().chunked_pace.min_rate);
    if let Some(object) = object.get("limits").and_then(|c| c.object(&schema::LIMITS)) {
        rates = read_limits(object, &mut limits, rates);
    }
    let http2 = Http2Settings::downstream();
    let http2 = match object.get("http2_protocol_options") {
        Some(options) => {
            if downstream == Spoken::Http1 {
                options.inert("`downstream_protocol` is Http1, so no client speaks HTTP/2 here");
            }
            http2_options::of_clients(&options, http2)
        }
        None => http2,
    };
    let timeouts = object.get("timeouts").and_then(|c| c.object(&schema::TIMEOUTS)).map(timeouts);
    let mut timeouts = timeouts.unwrap_or_default();
    (timeouts.body_pace.min_rate, timeouts.chunked_pace.min_rate) = rates;
    let forwarding =
        object.get("forwarding").and_then(|c| c.object(&schema::FORWARDING)).map(forwarding).unwrap_or_default();
    let forwarding = Forwarding { client_cert: client_cert(&mut object), ..forwarding };
    let upgrades = object.get("upgrades").and_then(|c| upgrades(&c)).unwrap_or_else(ProxyConfig::default_upgrades);
    let header_case = object.get("header_case").and_then(|c| header_case(&c)).unwrap_or_default();
    let target_bytes = object
        .get("target_bytes")
        .and_then(|c| c.choice(&[("strict", TargetBytes::Strict), ("lenient", TargetBytes::Lenient)]));
    object.finish();
    Some(ProxyFilter { router, downstream, http2, limits, timeouts, forwarding, upgrades, header_case, target_bytes })
}

/// Keyed by protocol, or flat.
fn extend_config(mut object: ObjectReader<'_>, limits: &mut Http1Limits) {
    mosn_limits(&mut object, limits);
    if let Some(mut nested) = object.get("Http1").and_then(|c| c.object(&schema::EXTEND_HTTP1)) {
        mosn_limits(&mut nested, limits);
        nested.finish();
    }
    if let Some(mut nested) = object.get("Http2").and_then(|c| c.object(&schema::EXTEND_HTTP2)) {
        http2_use_stream(&mut nested);
        nested.finish();
    }
    http2_use_stream(&mut object);
    object.finish();
}

/// Bodies are streamed in any case: MOSN would hold them, unless this says
/// otherwise, so that nobody sees a difference but in memory and time.
fn http2_use_stream(object: &mut ObjectReader<'_>) {
    object.get("http2_use_stream").and_then(|c| c.bool());
}

/// Zero is Go's absent value.
fn mosn_limits(object: &mut ObjectReader<'_>, limits: &mut Http1Limits) {
    if let Some(bytes) = object.get("max_header_size").and_then(|c| c.size()).filter(|n| *n > 0) {
        limits.max_header_bytes = bytes;
    }
    let body = object.get("max_request_body_size").and_then(|c| c.integer());
    if let Some(bytes) = body.and_then(NonZeroU64::new) {
        limits.max_request_body = Some(bytes.get());
    }
}

/// Least rates of bodies, of known length and chunked.
type Rates = (Option<NonZeroU64>, Option<NonZeroU64>);

fn read_limits(mut object: ObjectReader<'_>, limits: &mut Http1Limits, default: Rates) -> Rates {
    if let Some(count) = object.get("max_headers").and_then(|c| c.integer()) {
        limits.max_headers = count as usize;
    }
    if let Some(count) = object.get("max_response_headers").and_then(|c| c.integer()) {
        limits.max_response_headers = count as usize;
    }
    if let Some(bytes) = object.get("max_buffered_body").and_then(|c| c.size()) {
        limits.max_buffered_body = bytes;
    }
    let mut rate = |name, default| object.get(name).and_then(|c| c.integer()).map_or(default, NonZeroU64::new);
    let rates = (rate("min_body_rate", default.0), rate("min_chunked_body_rate", default.1));
    object.finish();
    rates
}

fn timeouts(mut object: ObjectReader<'_>) -> Timeouts {
    let default = Timeouts::default();
    let mut bound = |name, default: Option<Duration>| object.get(name).and_then(|c| c.bound()).unwrap_or(default);
    let request_header = bound("request_header", default.request_header);
    let request_body_idle = bound("request_body", default.request_body_idle);
    let whole = bound("request", default.body_pace.whole);
    let chunked_whole = bound("chunked_request", default.chunked_pace.whole);
    let response_write_idle = bound("response_write", default.response_write_idle);
    let response = bound("response", default.response);
    let tunnel_idle = bound("tunnel_idle", default.tunnel_idle);
    let filter_pending = object.get("filter_pending").and_then(|c| c.duration());
    let grace = object.get("body_rate_grace").and_then(|c| c.duration());
    object.finish();
    Timeouts {
        request_header,
        request_body_idle,
        body_pace: BodyPace { whole, ..default.body_pace },
        chunked_pace: BodyPace { whole: chunked_whole, ..default.chunked_pace },
        body_rate_grace: grace.unwrap_or(default.body_rate_grace),
        response_write_idle,
        response,
        tunnel_idle,
        filter_pending: filter_pending.unwrap_or(default.filter_pending),
    }
}

/// An empty list switches upgrades off.
fn upgrades(cursor: &Cursor<'_>) -> Option<Vec<UpgradeProtocol>> {
    let mut protocols = Vec::new();
    for entry in cursor.array()? {
        let Some(name) = entry.name() else { continue };
        match UpgradeProtocol::parse(name) {
            Some(protocol) => protocols.push(protocol),
            None => entry.mismatch(
                kind::BAD_VALUE,
                "a protocol as `Upgrade` names it, such as \"websocket\"; never h2c or HTTP, whose requests would pass \
                 by filters and routes",
            ),
        }
    }
    Some(protocols)
}

fn forwarding(mut object: ObjectReader<'_>) -> Forwarding {
    let forwarded_for = object.get("x_forwarded_for").and_then(|cursor| {
        cursor.choice(&[
            ("append", ForwardedFor::Append),
            ("replace", ForwardedFor::Replace),
            ("remove", ForwardedFor::Remove),
            ("pass", ForwardedFor::Pass),
        ])
    });
    let request_id = object.get("x_request_id").and_then(|cursor| {
        cursor.choice(&[
            ("keep", RequestIdPolicy::KeepOrMake),
            ("make", RequestIdPolicy::Make),
            ("pass", RequestIdPolicy::Pass),
        ])
    });
    object.finish();
    Forwarding {
        forwarded_for: forwarded_for.unwrap_or_default(),
        request_id: request_id.unwrap_or_default(),
        client_cert: None,
    }
}

/// `None`: it is for the listener's TLS to say.
fn client_cert(object: &mut ObjectReader<'_>) -> Option<ForwardClientCert> {
    let mode = object.get("forward_client_cert_details").and_then(|cursor| {
        cursor.choice(&[
            ("SANITIZE", ClientCertMode::Sanitize),
            ("FORWARD_ONLY", ClientCertMode::ForwardOnly),
            ("APPEND_FORWARD", ClientCertMode::AppendForward),
            ("SANITIZE_SET", ClientCertMode::SanitizeSet),
            ("ALWAYS_FORWARD_ONLY", ClientCertMode::AlwaysForwardOnly),
        ])
    });
    let details = object.get("set_current_client_cert_details");
    let says = matches!(mode, Some(ClientCertMode::AppendForward | ClientCertMode::SanitizeSet));
    if let (Some(cursor), false) = (&details, says) {
        cursor.inert("does nothing without `forward_client_cert_details: SANITIZE_SET` or `APPEND_FORWARD`");
    }
    let mut policy = mode.map(ForwardClientCert::new);
    if let Some(mut object) = details.and_then(|cursor| cursor.object(&schema::CLIENT_CERT_DETAILS)) {
        for (name, part) in [
            ("subject", ClientCertPart::Subject),
            ("cert", ClientCertPart::Cert),
            ("uri", ClientCertPart::Uri),
            ("dns", ClientCertPart::Dns),
        ] {
            if object.get(name).and_then(|cursor| cursor.bool()) == Some(true) {
                policy = policy.map(|policy| policy.with(part));
            }
        }
        object.finish();
    }
    policy
}
