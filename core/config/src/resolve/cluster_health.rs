//! Of a cluster: `health_check`, `outlier_detection`, `slow_start`.

use std::num::{NonZeroU16, NonZeroU32};
use std::ops::RangeInclusive;
use std::time::Duration;

use sidegate_api::Spoken;
use sidegate_upstream::{HealthCheckConfig, HttpProbe, OutlierConfig, Probe, ProbeMethod, ProbeProtocol, SlowStart};

use super::cluster::count;
use crate::diagnostic::kind;
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// Of a cluster whose hosts are spoken to in `upstream`. `None` without a
/// service name: MOSN checks nothing then either.
pub(super) fn health_check(cursor: &Cursor<'_>, upstream: Spoken) -> Option<HealthCheckConfig> {
    let mut object = cursor.object(&schema::HEALTH_CHECK)?;
    let service = object.get("service_name").and_then(|c| c.string()).unwrap_or_default();
    let mut config = HealthCheckConfig::new(service);
    if let Some(timeout) = some_time(&mut object, "timeout") {
        config.timeout = timeout;
    }
    if let Some(interval) = some_time(&mut object, "interval") {
        config.interval = interval;
    }
    if let Some(jitter) = some_time(&mut object, "interval_jitter") {
        config.interval_jitter = jitter;
    }
    if let Some(delay) = object.get("initial_delay_seconds").and_then(|c| seconds_or_duration(&c)) {
        config.initial_delay = delay;
    }
    config.healthy_threshold = threshold(object.get("healthy_threshold"));
    config.unhealthy_threshold = threshold(object.get("unhealthy_threshold"));
    let event_log = object.get("event_log_path").and_then(|c| c.string()).filter(|path| !path.is_empty());
    config.event_log = event_log.map(Into::into);
    let protocol = object.get("protocol");
    let request = object.get("check_config").and_then(|c| check_config(&c, config.timeout, upstream));
    config.probe = probe(cursor, protocol.as_ref(), request, &mut config.timeout);
    object.finish();
    if service.is_empty() && cursor.is_empty_section() {
        return None;
    }
    if service.is_empty() {
        cursor.inert("health checks are off here: `service_name` is empty");
        return None;
    }
    Some(config)
}

/// MOSN asks by HTTP for exactly `Http1` alone, and only if it is told what;
/// otherwise it connects. Who wrote more than that is warned.
fn probe(
    cursor: &Cursor<'_>,
    protocol: Option<&Cursor<'_>>,
    request: Option<(HttpProbe, Duration)>,
    timeout: &mut Duration,
) -> Probe {
    match (protocol.and_then(|c| c.string()).unwrap_or_default(), request) {
        ("Http1", Some((probe, own_timeout))) => {
            *timeout = own_timeout;
            return Probe::Http(probe);
        }
        ("Http1", None) => {
            cursor.inert(
                "without `check_config.http_check_config` it is checked, as in MOSN, that a connection can be made",
            );
        }
        ("" | "TCP" | "Tcp" | "tcp", None) => {}
        (_, _) => {
            protocol.unwrap_or(cursor).inert(
                "it is checked, as in MOSN, that a connection can be made: requests are sent for the protocol \"Http1\" alone, \
                 which go in HTTP/2 where `upstream_protocol` of the cluster or `codec_client_type` says so",
            );
        }
    }
    Probe::Connect
}

/// The request, and the bound on it.
fn check_config(cursor: &Cursor<'_>, timeout: Duration, upstream: Spoken) -> Option<(HttpProbe, Duration)> {
    let mut object = cursor.object(&schema::CHECK_CONFIG)?;
    let request = object.get("http_check_config");
    object.finish();
    let mut object = request?.object(&schema::HTTP_CHECK)?;
    let mut probe = HttpProbe::new("/");
    let of_cluster = match upstream {
        Spoken::Http2 => ProbeProtocol::Http2,
        // A check came in nothing.
        Spoken::Http1 | Spoken::Auto => ProbeProtocol::Http1,
    };
    let codecs = [("", of_cluster), ("HTTP1", ProbeProtocol::Http1), ("HTTP2", ProbeProtocol::Http2)];
    probe.protocol = object.get("codec_client_type").and_then(|c| c.choice(&codecs)).unwrap_or(of_cluster);
    probe.port =
        object.get("port").and_then(|c| c.integer()).and_then(|n| u16::try_from(n).ok()).and_then(NonZeroU16::new);
    let own_timeout = some_time(&mut object, "timeout").map_or(timeout, |own| own.min(timeout));
    if let Some(path) = object.get("path").and_then(|c| visible(&c)) {
        probe.path = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
    }
    let methods = [
        ("", ProbeMethod::Get),
        ("GET", ProbeMethod::Get),
        ("HEAD", ProbeMethod::Head),
        ("OPTIONS", ProbeMethod::Options),
        ("POST", ProbeMethod::Post),
    ];
    probe.method = object.get("method").and_then(|c| c.choice(&methods)).unwrap_or_default();
    object.get("scheme").and_then(|c| c.choice(&[("", ()), ("http", ())]));
    probe.authority = object.get("domain").and_then(|c| visible(&c)).map(Into::into);
    let codes = object.get("codes").and_then(|c| c.array()).unwrap_or_default();
    let codes: Vec<_> = codes.iter().filter_map(code_range).collect();
    if !codes.is_empty() {
        probe.codes = codes;
    }
    object.finish();
    Some((probe, own_timeout))
}

fn code_range(cursor: &Cursor<'_>) -> Option<RangeInclusive<u16>> {
    let mut object = cursor.object(&schema::CODE_RANGE)?;
    let mut code = |name| object.get(name).and_then(|c| c.integer()).and_then(|n| u16::try_from(n).ok());
    let start = code("Start").unwrap_or(0);
    let end = code("End").filter(|end| *end > 0).unwrap_or(start);
    object.finish();
    if end < start {
        cursor.mismatch(kind::BAD_VALUE, "`Start` not above `End`");
        return None;
    }
    Some(start..=end)
}

/// Text that can stand in a request's first lines; empty says nothing.
fn visible<'a>(cursor: &Cursor<'a>) -> Option<&'a str> {
    let text = cursor.string().filter(|text| !text.is_empty())?;
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        cursor.mismatch(kind::BAD_VALUE, "visible ASCII characters");
        return None;
    }
    Some(text)
}

/// A duration where zero says nothing.
fn some_time(object: &mut ObjectReader<'_>, name: &'static str) -> Option<Duration> {
    object.get(name).and_then(|c| c.duration()).filter(|d| !d.is_zero())
}

fn seconds_or_duration(cursor: &Cursor<'_>) -> Option<Duration> {
    if cursor.is_number() { cursor.integer().map(Duration::from_secs) } else { cursor.duration() }
}

fn threshold(cursor: Option<Cursor<'_>>) -> NonZeroU32 {
    cursor.and_then(|c| count(&c)).unwrap_or(NonZeroU32::MIN)
}

pub(super) fn outlier_detection(cursor: &Cursor<'_>) -> Option<OutlierConfig> {
    let mut object = cursor.object(&schema::OUTLIER_DETECTION)?;
    let default = OutlierConfig::default();
    let mut number = |name, default| {
        object.get(name).and_then(|c| c.integer()).and_then(|n| u32::try_from(n).ok()).unwrap_or(default)
    };
    let consecutive_5xx = number("consecutive_5xx", default.consecutive_5xx);
    let consecutive_gateway_failure = number("consecutive_gateway_failure", default.consecutive_gateway_failure);
    let consecutive_local_origin_failure =
        number("consecutive_local_origin_failure", default.consecutive_local_origin_failure);
    let percent = number("max_ejection_percent", default.max_ejection_percent.into());
    let mut time = |name, default| object.get(name).and_then(|c| c.duration()).unwrap_or(default);
    let config = OutlierConfig {
        consecutive_5xx,
        consecutive_gateway_failure,
        consecutive_local_origin_failure,
        interval: time("interval", default.interval),
        base_ejection_time: time("base_ejection_time", default.base_ejection_time),
        max_ejection_time: time("max_ejection_time", default.max_ejection_time),
        max_ejection_percent: u8::try_from(percent).unwrap_or(100),
    };
    object.finish();
    Some(config)
}

/// `None` without a duration.
pub(super) fn slow_start(cursor: &Cursor<'_>) -> Option<SlowStart> {
    let mut object = cursor.object(&schema::SLOW_START)?;
    object.get("mode").and_then(|c| c.choice(&[("", ()), ("duration", ())]));
    let duration = some_time(&mut object, "slow_start_duration");
    let mut number = |name, default| object.get(name).and_then(|c| c.decimal()).filter(|n| *n > 0.0).unwrap_or(default);
    let aggression = number("aggression", SlowStart::DEFAULT_AGGRESSION);
    let min_weight_percent = number("min_weight_percent", SlowStart::DEFAULT_MIN_WEIGHT_PERCENT);
    object.finish();
    match duration {
        Some(duration) => Some(SlowStart { duration, aggression, min_weight_percent }),
        None if cursor.is_empty_section() => None,
        None => {
            cursor.inert("without a `slow_start_duration` it is off");
            None
        }
    }
}
