//! Metrics in the shape of MOSN's `/api/v1/stats`.

use serde_json::{Map, Value};
use sidegate_api::{Series, SeriesValue};

/// The series as `{type: {"label.value": {key: "value"}}}`: the type is a
/// name's first word, the key the rest. A histogram gives `key_count` and
/// `key_sum`. Series without labels stand under `global`.
pub fn stats_json(series: &[Series]) -> Value {
    let mut types = Map::new();
    each(series, |kind, labels, key, value| {
        let labelled = types.entry(kind).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(labelled) = labelled else { return };
        let keys = labelled.entry(labels).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(keys) = keys else { return };
        keys.insert(key.to_owned(), Value::String(value));
    });
    Value::Object(types)
}

/// The same, flat: `("type.label.value.key", "value")`.
pub fn stats_flat(series: &[Series]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    each(series, |kind, labels, key, value| all.push((format!("{kind}.{labels}.{key}"), value)));
    all
}

fn each(series: &[Series], mut take: impl FnMut(&str, &str, &str, String)) {
    for one in series {
        let (kind, key) = one.name.split_once('_').unwrap_or(("", &one.name));
        let labels = if one.labels.is_empty() {
            "global".to_owned()
        } else {
            let pairs: Vec<String> = one.labels.iter().map(|(label, value)| format!("{label}.{value}")).collect();
            pairs.join(".")
        };
        match &one.value {
            SeriesValue::Counter(value) => take(kind, &labels, key, value.to_string()),
            SeriesValue::Gauge(value) => take(kind, &labels, key, value.to_string()),
            SeriesValue::Histogram { sum, count, .. } => {
                take(kind, &labels, &format!("{key}_count"), count.to_string());
                take(kind, &labels, &format!("{key}_sum"), sum.to_string());
            }
        }
    }
}
