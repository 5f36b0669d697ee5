//! Prometheus' text format, version 0.0.4.

use std::collections::HashMap;
use std::fmt::Write as _;

use sidegate_api::{Series, SeriesValue};

use super::global::with_global;

/// The series as text, in families: `HELP` and `TYPE` once per name.
/// `{proxy="global"}` sums are added.
pub fn prometheus(series: &[Series]) -> String {
    let all = with_global(series);
    let mut families: Vec<Vec<&Series>> = Vec::new();
    let mut index_of: HashMap<&str, usize> = HashMap::new();
    for one in &all {
        let index = *index_of.entry(&*one.name).or_insert_with(|| {
            families.push(Vec::new());
            families.len() - 1
        });
        families[index].push(one);
    }
    let mut out = String::with_capacity(all.len() * 80);
    for family in families {
        let Some(first) = family.first() else { continue };
        let kind = match first.value {
            SeriesValue::Counter(_) => "counter",
            SeriesValue::Gauge(_) => "gauge",
            SeriesValue::Histogram { .. } => "histogram",
        };
        write_family(&mut out, &first.name, kind, help(&first.name));
        family.iter().for_each(|one| write_series(&mut out, one));
    }
    out
}

/// The two lines before a family's samples.
pub(super) fn write_family(out: &mut String, name: &str, kind: &str, help: Option<&str>) {
    if let Some(help) = help {
        put(out, format_args!("# HELP {name} {help}\n"));
    }
    put(out, format_args!("# TYPE {name} {kind}\n"));
}

/// Appends a label's value with what the format asks to escape.
pub(super) fn write_label_value(out: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

pub(super) fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` does not fail.
    let _ = out.write_fmt(text);
}

fn write_series(out: &mut String, series: &Series) {
    let sample = |out: &mut String, suffix: &str, bound: Option<&str>, value: std::fmt::Arguments<'_>| {
        out.push_str(&series.name);
        out.push_str(suffix);
        write_labels(out, &series.labels, bound);
        put(out, format_args!(" {value}\n"));
    };
    match &series.value {
        SeriesValue::Counter(value) => sample(out, "", None, format_args!("{value}")),
        SeriesValue::Gauge(value) => sample(out, "", None, format_args!("{value}")),
        SeriesValue::Histogram { buckets, sum, count } => {
            for (bound, up_to) in buckets {
                sample(out, "_bucket", Some(&bound.to_string()), format_args!("{up_to}"));
            }
            sample(out, "_bucket", Some("+Inf"), format_args!("{count}"));
            sample(out, "_sum", None, format_args!("{sum}"));
            sample(out, "_count", None, format_args!("{count}"));
        }
    }
}

fn write_labels(out: &mut String, labels: &[(String, String)], bound: Option<&str>) {
    let labels = labels.iter().map(|(label, value)| (label.as_str(), value.as_str()));
    let mut separator = '{';
    for (label, value) in labels.chain(bound.map(|bound| ("le", bound))) {
        out.push(separator);
        separator = ',';
        out.push_str(label);
        out.push_str("=\"");
        write_label_value(out, value);
        out.push('"');
    }
    if separator == ',' {
        out.push('}');
    }
}

/// What is measured, where the name leaves room for doubt.
fn help(name: &str) -> Option<&'static str> {
    Some(match name {
        "downstream_connection_total" => "Connections accepted.",
        "downstream_connection_destroy" => "Connections closed.",
        "downstream_connection_active" => "Connections open now.",
        "downstream_bytes_read_total" => "Bytes read from clients.",
        "downstream_bytes_write_total" => "Bytes written to clients.",
        "downstream_request_total" => "Requests begun.",
        "downstream_request_active" => "Requests in progress.",
        "downstream_request_reset" => "Requests that a side ended early.",
        "downstream_request_failed" => "Requests answered with 5xx or not at all.",
        "downstream_request_other_code" => "Responses with a status that has no counter of its own.",
        "downstream_request_time" => "Milliseconds from a request's first byte to the end of the stream.",
        "downstream_request_time_total" => "Nanoseconds from a request's first byte to the end of the stream.",
        "downstream_process_time" => "Milliseconds that the proxy itself took of a stream.",
        "downstream_process_time_total" => "Nanoseconds that the proxy itself took of streams.",
        "sidegate_access_log_dropped_total" => "Access log lines lost because the log took them too slowly.",
        _ => return None,
    })
}
