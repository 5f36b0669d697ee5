//! Sums over listeners that MOSN's users know as `{proxy="global"}`.

use std::collections::HashMap;
use std::sync::Arc;

use sidegate_api::{Series, SeriesValue};

/// `series`, with a `{proxy="global"}` series for each
/// `downstream_*{listener="…"}` family in front.
pub(super) fn with_global(series: Vec<Series>) -> Vec<Series> {
    let mut sums: Vec<Series> = Vec::new();
    let mut index_of: HashMap<Arc<str>, usize> = HashMap::new();
    for one in series.iter().filter(|s| is_of_listener(s)) {
        match index_of.get(&one.name) {
            Some(&index) => add(&mut sums[index].value, &one.value),
            None => {
                index_of.insert(one.name.clone(), sums.len());
                let labels = Arc::from([("proxy".to_owned(), "global".to_owned())]);
                sums.push(Series { name: one.name.clone(), labels, value: one.value.clone() });
            }
        }
    }
    sums.extend(series);
    sums
}

fn is_of_listener(series: &Series) -> bool {
    series.name.starts_with("downstream_") && matches!(&*series.labels, [(label, _)] if label == "listener")
}

fn add(sum: &mut SeriesValue, other: &SeriesValue) {
    match (sum, other) {
        (SeriesValue::Counter(sum), SeriesValue::Counter(other)) => *sum = sum.wrapping_add(*other),
        (SeriesValue::Gauge(sum), SeriesValue::Gauge(other)) => *sum = sum.wrapping_add(*other),
        (
            SeriesValue::Histogram { buckets, sum, count },
            SeriesValue::Histogram { buckets: more, sum: more_sum, count: more_count },
        ) => {
            for ((_, count), (_, other)) in buckets.iter_mut().zip(more) {
                *count += other;
            }
            *sum += more_sum;
            *count += more_count;
        }
        // One name has one kind: `Metrics` refuses anything else.
        _ => {}
    }
}
