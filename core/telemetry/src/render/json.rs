//! Metrics in the shape of MOSN's `/api/v1/stats`.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use sidegate_api::{Series, SeriesValue};

use super::piece;
use super::stats::Stats;

/// The series as `{type: {"label.value": {key: "value"}}}`: the type is a
/// name's first word, the key the rest. A histogram gives `key_count` and
/// `key_sum`. Series without labels stand under `global`. With `key`, only
/// those whose `type.label.value.key` has it as a part.
pub fn stats_json(stats: Stats, key: Option<&str>) -> StatsJson {
    let mut types: Vec<Type> = Vec::new();
    for (index, shown) in stats.families.iter().enumerate() {
        if let Some(sum) = stats.global(shown) {
            type_of(&mut types, split(&sum.name).0).of_labels(&sum.labels).sums.push(index);
        }
    }
    for owner in 0..stats.owners() {
        let Some(labels) = stats.owner(owner) else { continue };
        let mut last = None;
        for name in stats.names_of(owner) {
            let (name, _) = split(name);
            if last != Some(name) {
                type_of(&mut types, name).of_labels(labels).owners.push(owner);
                last = Some(name);
            }
        }
    }
    // Taken from the end.
    types.reverse();
    types.iter_mut().for_each(|one| one.entries.reverse());
    StatsJson { stats, key: key.map(str::to_owned), types, depth: Depth::Before }
}

/// MOSN's JSON in the making: gives pieces of its text.
#[derive(Debug)]
pub struct StatsJson {
    stats: Stats,
    key: Option<String>,
    types: Vec<Type>,
    depth: Depth,
}

/// What is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Before,
    /// The outermost object, which has something in it.
    Top,
    /// The object of the last of the types.
    Type,
    After,
}

#[derive(Debug)]
struct Type {
    name: String,
    entries: Vec<Labelled>,
    /// Equal labels of owners are the same slice.
    by_labels: HashMap<usize, usize>,
}

/// What has the same labels.
#[derive(Debug)]
struct Labelled {
    labels: Arc<[(String, String)]>,
    /// Families whose sums they are.
    sums: Vec<usize>,
    owners: Vec<usize>,
}

fn type_of<'t>(types: &'t mut Vec<Type>, name: &str) -> &'t mut Type {
    let index = types.iter().position(|known| known.name == name).unwrap_or_else(|| {
        types.push(Type { name: name.to_owned(), entries: Vec::new(), by_labels: HashMap::new() });
        types.len() - 1
    });
    &mut types[index]
}

impl Type {
    fn of_labels(&mut self, labels: &Arc<[(String, String)]>) -> &mut Labelled {
        let index = *self.by_labels.entry(labels.as_ptr().addr()).or_insert_with(|| {
            self.entries.push(Labelled { labels: labels.clone(), sums: Vec::new(), owners: Vec::new() });
            self.entries.len() - 1
        });
        &mut self.entries[index]
    }
}

impl Iterator for StatsJson {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut has_more = self.depth != Depth::After;
        piece(&mut has_more, |out| {
            self.step(out);
            self.depth != Depth::After
        })
    }
}

impl StatsJson {
    /// Writes the next labels' object, or what is around it; in the form of
    /// `serde_json`'s pretty printer.
    fn step(&mut self, out: &mut String) {
        let Some(last) = self.types.last_mut() else {
            out.push_str(match self.depth {
                Depth::Before => "{}\n",
                _ => "\n}\n",
            });
            self.depth = Depth::After;
            return;
        };
        let Some(entry) = last.entries.pop() else {
            self.types.pop();
            if self.depth == Depth::Type {
                out.push_str("\n  }");
                self.depth = Depth::Top;
            }
            return;
        };
        let (kind, labels) = (last.name.clone(), dotted(&entry.labels));
        let keys = self.keys(&kind, &labels, &entry);
        if keys.is_empty() {
            return;
        }
        match self.depth {
            Depth::Type => out.push_str(",\n"),
            before => {
                out.push_str(match before {
                    Depth::Before => "{\n",
                    _ => ",\n",
                });
                out.push_str(&format!("  {}: {{\n", Value::from(kind)));
                self.depth = Depth::Type;
            }
        }
        out.push_str(&format!("    {}: {{\n", Value::from(labels)));
        for (index, (key, value)) in keys.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { ",\n" };
            out.push_str(&format!("{comma}      {}: {value}", Value::from(key)));
        }
        out.push_str("\n    }");
    }

    fn keys(&self, kind: &str, labels: &str, entry: &Labelled) -> Map<String, Value> {
        let mut keys = Map::new();
        let mut take = |series: Series| {
            let (its_kind, key) = split(&series.name);
            if its_kind != kind {
                return;
            }
            values(key, &series.value, |key, value| {
                let is_wanted = |part: &String| format!("{kind}.{labels}.{key}").contains(part);
                if self.key.as_ref().is_none_or(is_wanted) {
                    keys.insert(key.to_owned(), Value::String(value));
                }
            });
        };
        let sums = entry.sums.iter().filter_map(|&family| self.stats.global(self.stats.families.get(family)?));
        sums.for_each(&mut take);
        entry.owners.iter().flat_map(|&owner| self.stats.series_of(owner)).for_each(take);
        keys
    }
}

/// Type and key of a name.
pub(super) fn split(name: &str) -> (&str, &str) {
    name.split_once('_').unwrap_or(("", name))
}

pub(super) fn dotted(labels: &[(String, String)]) -> String {
    if labels.is_empty() {
        return "global".to_owned();
    }
    let pairs: Vec<String> = labels.iter().map(|(label, value)| format!("{label}.{value}")).collect();
    pairs.join(".")
}

pub(super) fn values(key: &str, value: &SeriesValue, mut take: impl FnMut(&str, String)) {
    match value {
        SeriesValue::Counter(value) => take(key, value.to_string()),
        SeriesValue::Gauge(value) => take(key, value.to_string()),
        SeriesValue::Histogram { sum, count, .. } => {
            take(&format!("{key}_count"), count.to_string());
            take(&format!("{key}_sum"), sum.to_string());
        }
    }
}
