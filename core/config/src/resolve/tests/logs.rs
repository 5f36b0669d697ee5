//! What logs and metrics become.

use std::num::{NonZeroU32, NonZeroU64};

use sidegate_api::Address;
use sidegate_telemetry::{
    AccessLogFormat, LogCompression, LogRotation, LogTarget, PageOptions, Percentile, ProcessFigures, StatsMatcher,
};

use super::support::{load, varied};
use crate::{MetricsConfig, MetricsSink};

fn rotations(global: &str, logs: &str) -> Result<Vec<Option<LogRotation>>, String> {
    let text = varied("- default_log_path: stdout\n  default_log_level: INFO\n", &format!("- processor: 1\n{global}"));
    let text = text.replace("    filter_chains:\n", &format!("    access_logs: [{logs}]\n    filter_chains:\n"));
    let config = load(&text).map_err(|errors| errors.to_string())?;
    let of_logs = config.listeners[0].access_logs.iter().map(|log| log.rotation);
    Ok(std::iter::once(config.log.rotation).chain(of_logs).collect())
}

#[test]
fn logs_are_rotated_as_they_or_else_the_server_say() {
    let hourly = Some(LogRotation { hours: NonZeroU32::new(1), ..LogRotation::default() });
    let small = Some(LogRotation {
        max_bytes: NonZeroU64::new(1 << 20),
        keep: NonZeroU32::new(3),
        max_age: None,
        compression: LogCompression::Gzip,
        hours: None,
    });
    let logs = "{log_path: /a}, {log_path: /b, log_roller: off}, \
                {log_path: /c, log_roller: 'size=1 keep=3 age=0 compress=on'}, {log_path: /d, log_roller: ''}";
    assert_eq!(rotations("  global_log_roller: time=1\n", logs), Ok(vec![hourly, hourly, None, small, hourly]));
    assert_eq!(rotations("", logs), Ok(vec![None, None, None, small, None]));
    assert_eq!(rotations("  global_log_roller: off\n", logs), Ok(vec![None, None, None, small, None]));
}

#[test]
fn a_rotated_file_has_one_writer() {
    let path = "  default_log_path: /a\n";
    assert!(rotations(path, "{log_path: /a}").is_ok());
    let error = rotations(path, "{log_path: /a, log_roller: time=1}").unwrap_err();
    assert!(error.contains("log /a is the process log too; a file that is rotated has one writer"), "{error}");
    assert!(rotations("  default_log_path: stdout\n", "{log_path: stdout, log_roller: time=1}").is_ok());
}

#[test]
fn json_formats_are_read() {
    let text = varied(
        "    filter_chains:\n",
        "    access_logs: [{log_path: /a, json_format: {p: '%path%', n: 1}}]\n    filter_chains:\n",
    );
    let config = load(&text).unwrap();
    let log = &config.listeners[0].access_logs[0];
    assert_eq!(log.log(), Some(&LogTarget::File("/a".into())));
    let format = serde_json::json!({"p": "%path%", "n": 1});
    assert_eq!(log.format, AccessLogFormat::json(format.as_object().unwrap()).unwrap());
}

#[test]
fn metrics_are_as_in_mosn() {
    let metrics = |text: &str| load(&varied("admin:\n", &format!("{text}\nadmin:\n"))).unwrap().metrics;
    assert_eq!(metrics(""), MetricsConfig::default());
    let full = metrics(
        "metrics:\n  sinks:\n  - {type: prometheus, config: {port: 34903}}\n  \
         - {type: prometheus, config: {port: 0, address: '::1', endpoint: /m, percentiles: [50, 99], \
         disable_collect_process: true, disable_collect_go: true}}\n  \
         stats_matcher: {reject_all: false, exclusion_labels: [host], exclusion_keys: [request_time]}",
    );
    let sink = |address: &str, endpoint: &str, options| MetricsSink {
        address: Address::parse(address).unwrap(),
        endpoint: endpoint.to_owned(),
        options,
    };
    let percentiles = [50, 99].map(|number| Percentile::new(number).unwrap()).to_vec();
    assert_eq!(
        full.sinks,
        [
            sink("0.0.0.0:34903", "/metrics", PageOptions::default()),
            sink("[::1]:0", "/m", PageOptions { process: ProcessFigures::Hidden, percentiles }),
        ]
    );
    let (labels, keys) = (vec!["host".to_owned()], vec!["request_time".to_owned()]);
    assert_eq!(full.matcher, StatsMatcher::Exclude { labels, keys });
    assert_eq!(metrics("metrics: {stats_matcher: {reject_all: true}}").matcher, StatsMatcher::RejectAll);
}
