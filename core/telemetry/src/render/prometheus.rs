//! Prometheus' text format, version 0.0.4, and OpenMetrics 1.0.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};

use sidegate_api::{Series, SeriesValue};

use super::help::help;

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

/// A page in the making.
pub(super) struct Page {
    out: String,
    format: PageFormat,
    /// Names of families that come later.
    taken: HashSet<String>,
}

/// Type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Page {
    pub(super) fn new(format: PageFormat) -> Self {
        Page { out: String::with_capacity(32 * 1024), format, taken: HashSet::new() }
    }

    /// One family of one sample.
    pub(super) fn figure(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.head(name, kind, Some(help), |_| false);
        self.sample(name, "", &[], None, format_args!("{value}"));
    }

    /// Keeps names of families that are to come from those that come before.
    pub(super) fn take_names<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.taken.extend(names.map(str::to_owned));
    }

    /// Series in families: `HELP` and `TYPE` once per name.
    pub(super) fn series(&mut self, series: &[Series]) {
        let families = families(series.iter().map(|one| (&*one.name, one)));
        let mut names: HashSet<&str> = families.iter().map(|(name, _)| *name).collect();
        let taken = std::mem::take(&mut self.taken);
        names.extend(taken.iter().map(String::as_str));
        for (name, members) in &families {
            let kind = match members.first().map(|one| &one.value) {
                Some(SeriesValue::Counter(_)) => Kind::Counter,
                Some(SeriesValue::Histogram { .. }) => Kind::Histogram,
                _ => Kind::Gauge,
            };
            self.head(name, kind, help(name), |name| names.contains(name));
            members.iter().for_each(|one| self.one(one));
        }
    }

    /// Percentiles: levels that are no integers.
    pub(super) fn levels(&mut self, levels: &[(Series, f64)]) {
        const HELP: &str = "Percentiles of all observations so far, estimated; in nanoseconds where MOSN has the name.";
        for (name, members) in families(levels.iter().map(|level| (&*level.0.name, level))) {
            self.head(name, Kind::Gauge, Some(HELP), |_| false);
            for (series, value) in members {
                self.sample(name, "", &series.labels, None, format_args!("{value}"));
            }
        }
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == PageFormat::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    /// The lines before a family's samples.
    fn head(&mut self, name: &str, kind: Kind, help: Option<&str>, is_taken: impl Fn(&str) -> bool) {
        let (family, kind) = match (kind, self.format) {
            (Kind::Gauge, _) => (name, "gauge"),
            (Kind::Histogram, _) => (name, "histogram"),
            (Kind::Counter, PageFormat::Prometheus) => (name, "counter"),
            (Kind::Counter, PageFormat::OpenMetrics) => match name.strip_suffix("_total") {
                Some(family) if !is_taken(family) => (family, "counter"),
                _ => (name, "unknown"),
            },
        };
        if let Some(help) = help {
            self.put(format_args!("# HELP {family} {help}\n"));
        }
        self.put(format_args!("# TYPE {family} {kind}\n"));
    }

    fn one(&mut self, series: &Series) {
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

    pub(super) fn sample(
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

/// Groups by name, in the order of each name's first.
fn families<'a, T>(named: impl Iterator<Item = (&'a str, T)>) -> Vec<(&'a str, Vec<T>)> {
    let mut families: Vec<(&str, Vec<T>)> = Vec::new();
    let mut index_of: HashMap<&str, usize> = HashMap::new();
    for (name, one) in named {
        let index = *index_of.entry(name).or_insert_with(|| {
            families.push((name, Vec::new()));
            families.len() - 1
        });
        families[index].1.push(one);
    }
    families
}
