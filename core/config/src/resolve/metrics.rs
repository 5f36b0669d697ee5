//! `metrics`.

use sidegate_api::Address;
use sidegate_telemetry::{PageOptions, Percentile, ProcessFigures, StatsMatcher};

use super::address::ip_and_port;
use super::listener::ListenerNames;
use crate::diagnostic::kind;
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// What is shown of statistics, and where beside the admin interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetricsConfig {
    /// In configured order.
    pub sinks: Vec<MetricsSink>,
    /// What is left out everywhere.
    pub matcher: StatsMatcher,
}

/// An address with a page of metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsSink {
    /// Where it listens.
    pub address: Address,
    /// Path of the page.
    pub endpoint: String,
    /// What the page holds beside the statistics.
    pub options: PageOptions,
}

pub(super) fn metrics(cursor: &Cursor<'_>, taken: &mut ListenerNames) -> Option<MetricsConfig> {
    let mut object = cursor.object(&schema::METRICS)?;
    let sinks = object.get("sinks").and_then(|c| c.array()).unwrap_or_default();
    let sinks: Vec<Option<MetricsSink>> = sinks.iter().map(|entry| sink(entry, taken)).collect();
    let matcher = object.get("stats_matcher").and_then(|c| c.object(&schema::STATS_MATCHER)).map(matcher);
    object.finish();
    Some(MetricsConfig { sinks: sinks.into_iter().collect::<Option<_>>()?, matcher: matcher.unwrap_or_default() })
}

fn sink(cursor: &Cursor<'_>, taken: &mut ListenerNames) -> Option<MetricsSink> {
    let mut object = cursor.object(&schema::METRICS_SINK)?;
    let kind = object.required("type").and_then(|c| c.choice(&[("prometheus", ())]));
    let config = object.required("config");
    object.finish();
    let config = config?;
    let sink = prometheus(config.object(&schema::PROMETHEUS)?)?;
    kind?;
    taken.check_address(&config, &sink.address).then_some(sink)
}

fn prometheus(mut object: ObjectReader<'_>) -> Option<MetricsSink> {
    let host = object.get("address");
    let port = object.required("port").and_then(|c| c.integer());
    let endpoint = match object.text("endpoint") {
        Some((cursor, _)) => endpoint(&cursor),
        None => Some("/metrics".to_owned()),
    };
    let percentiles = object.get("percentiles").and_then(|c| c.array()).unwrap_or_default();
    let percentiles = percentiles.iter().filter_map(|c| Percentile::new(c.integer()?)).collect();
    let process = match object.get("disable_collect_process").and_then(|c| c.bool()) {
        Some(true) => ProcessFigures::Hidden,
        _ => ProcessFigures::Shown,
    };
    object.finish();
    let options = PageOptions { process, percentiles };
    Some(MetricsSink { address: ip_and_port(host.as_ref(), port?)?, endpoint: endpoint?, options })
}

fn endpoint(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.string()?;
    if !text.starts_with('/') || !text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#')) {
        cursor.mismatch(kind::BAD_VALUE, "a path that begins with / and has no query");
        return None;
    }
    Some(text.to_owned())
}

fn matcher(mut object: ObjectReader<'_>) -> StatsMatcher {
    let reject_all = object.get("reject_all").and_then(|c| c.bool());
    let mut names = |key| {
        let names = object.get(key).and_then(|c| c.array()).unwrap_or_default();
        names.iter().filter_map(|c| c.string().map(str::to_owned)).collect::<Vec<_>>()
    };
    let (labels, keys) = (names("exclusion_labels"), names("exclusion_keys"));
    object.finish();
    match reject_all {
        Some(true) => StatsMatcher::RejectAll,
        _ => StatsMatcher::Exclude { labels, keys },
    }
}
