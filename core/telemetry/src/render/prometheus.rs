//! Prometheus' text format, version 0.0.4, and OpenMetrics 1.0.

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use sidegate_api::{MetricKind, Series, SeriesValue};

use super::help::help;
use super::percentile::Level;

/// The form of a page of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PageFormat {
    /// What everybody reads.
    #[default]
    Prometheus,
    /// What Prometheus prefers. Series have the same names as in the other
    /// form: counters of MOSN's whose names do not end in `_total`, or whose
    /// names without it are taken, have the type `unknown` for that.
    OpenMetrics,
}

impl PageFormat {
    /// What the caller takes, as its `accept` field says.
    pub fn negotiate(accept: Option<&str>) -> Self {
        let wants = |range: &str| {
            let mut parameters = range.split(';').map(str::trim);
            let kind = parameters.next().unwrap_or_default();
            let refused = parameters.any(|p| p.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0));
            kind.eq_ignore_ascii_case("application/openmetrics-text") && !refused
        };
        match accept {
            Some(accept) if accept.split(',').any(wants) => PageFormat::OpenMetrics,
            _ => PageFormat::Prometheus,
        }
    }

    /// Value of the `content-type` field.
    pub fn content_type(self) -> &'static str {
        match self {
            PageFormat::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            PageFormat::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes the lines of a page.
#[derive(Debug)]
pub(super) struct Writer {
    out: String,
    format: PageFormat,
    /// Names of all families.
    taken: HashSet<String>,
    /// The family of levels that was begun last.
    levels: Option<Arc<str>>,
}

/// Type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub(super) fn of(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Counter => Kind::Counter,
            MetricKind::Gauge => Kind::Gauge,
            MetricKind::Histogram | MetricKind::Durations | MetricKind::CallTimes => Kind::Histogram,
        }
    }
}

impl Writer {
    pub(super) fn new(format: PageFormat) -> Self {
        Writer { out: String::new(), format, taken: HashSet::new(), levels: None }
    }

    /// Appends what was written since the last time.
    pub(super) fn move_to(&mut self, text: &mut String) {
        text.push_str(&self.out);
        self.out.clear();
    }

    /// One family of one sample.
    pub(super) fn figure(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.head_with(name, kind, Some(help));
        self.sample(name, "", &[], None, format_args!("{value}"));
    }

    /// Keeps the name of a family from others.
    pub(super) fn take_name(&mut self, name: &str) {
        self.taken.insert(name.to_owned());
    }

    /// The lines before a family's samples: `HELP` and `TYPE`.
    pub(super) fn head(&mut self, name: &str, kind: Kind) {
        self.head_with(name, kind, help(name));
    }

    /// A level, with a head if it is the first of its family.
    pub(super) fn level(&mut self, level: &Level, value: f64) {
        const HELP: &str = "Percentiles of all observations so far, estimated; in nanoseconds where MOSN has the name.";
        if self.levels.as_ref() != Some(&level.name) {
            self.head_with(&level.name, Kind::Gauge, Some(HELP));
            self.levels = Some(level.name.clone());
        }
        self.sample(&level.name, "", &level.labels, None, format_args!("{value}"));
    }

    /// The end of the page.
    pub(super) fn end(&mut self) {
        if self.format == PageFormat::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
    }

    fn head_with(&mut self, name: &str, kind: Kind, help: Option<&str>) {
        let (family, kind) = match (kind, self.format) {
            (Kind::Gauge, _) => (name, "gauge"),
            (Kind::Histogram, _) => (name, "histogram"),
            (Kind::Counter, PageFormat::Prometheus) => (name, "counter"),
            (Kind::Counter, PageFormat::OpenMetrics) => match name.strip_suffix("_total") {
                Some(family) if !self.taken.contains(family) => (family, "counter"),
                _ => (name, "unknown"),
            },
        };
        if let Some(help) = help {
            self.put(format_args!("# HELP {family} {help}\n"));
        }
        self.put(format_args!("# TYPE {family} {kind}\n"));
    }

    /// The samples of a series.
    pub(super) fn series(&mut self, series: &Series) {
        let (name, labels) = (&*series.name, &*series.labels);
        match &series.value {
            SeriesValue::Counter(value) => self.sample(name, "", labels, None, format_args!("{value}")),
            SeriesValue::Gauge(value) => self.sample(name, "", labels, None, format_args!("{value}")),
            SeriesValue::Histogram { buckets, sum, count } => {
                for (bound, up_to) in buckets {
                    // OpenMetrics wants `1.0`, the other form takes it.
                    self.sample(name, "_bucket", labels, Some(&format!("{bound:?}")), format_args!("{up_to}"));
                }
                self.sample(name, "_bucket", labels, Some("+Inf"), format_args!("{count}"));
                self.sample(name, "_sum", labels, None, format_args!("{sum}"));
                self.sample(name, "_count", labels, None, format_args!("{count}"));
            }
        }
    }

    fn sample(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &[(String, String)],
        bound: Option<&str>,
        value: fmt::Arguments<'_>,
    ) {
        self.out.push_str(name);
        self.out.push_str(suffix);
        let labels = labels.iter().map(|(label, value)| (label.as_str(), value.as_str()));
        let mut separator = '{';
        for (label, value) in labels.chain(bound.map(|bound| ("le", bound))) {
            self.out.push(separator);
            separator = ',';
            self.out.push_str(label);
            self.out.push_str("=\"");
            self.label_value(value);
            self.out.push('"');
        }
        if separator == ',' {
            self.out.push('}');
        }
        self.put(format_args!(" {value}\n"));
    }

    /// With what the formats ask to escape.
    fn label_value(&mut self, value: &str) {
        if !value.contains(['\\', '"', '\n']) {
            return self.out.push_str(value);
        }
        for character in value.chars() {
            match character {
                '\\' => self.out.push_str("\\\\"),
                '"' => self.out.push_str("\\\""),
                '\n' => self.out.push_str("\\n"),
                other => self.out.push(other),
            }
        }
    }

    fn put(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a `String` does not fail.
        let _ = self.out.write_fmt(text);
    }
}
