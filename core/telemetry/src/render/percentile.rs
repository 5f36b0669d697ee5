//! Percentiles, estimated from a histogram's buckets.

use std::sync::Arc;

use sidegate_api::{MetricFamily, MetricKind, Series, SeriesValue};

/// What is estimated, from 1 to 100: 99 is the value that 99 of 100
/// observations do not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentile(u8);

impl Percentile {
    /// The percentile, if it is one.
    pub fn new(number: u64) -> Option<Self> {
        u8::try_from(number).ok().filter(|number| (1..=100).contains(number)).map(Percentile)
    }

    /// Between the bounds of the bucket that it falls into, as if observations
    /// lay evenly in it. Beyond the last bound: that bound. `None` without
    /// observations.
    fn estimate(self, buckets: &[(f64, u64)], count: u64) -> Option<f64> {
        if count == 0 {
            return None;
        }
        let rank = count as f64 * f64::from(self.0) / 100.0;
        let (mut low, mut below) = (0.0, 0);
        for &(high, up_to) in buckets {
            if up_to as f64 >= rank {
                let within = (rank - below as f64) / (up_to - below) as f64;
                return Some(low + (high - low) * within);
            }
            (low, below) = (high, up_to);
        }
        Some(low)
    }
}

/// The families that a page shows as percentiles alone, as MOSN does: levels in
/// nanoseconds under the family's own name. One name cannot be a histogram too.
pub(super) fn is_of_mosn(family: &MetricFamily) -> bool {
    matches!(family.kind, MetricKind::Histogram | MetricKind::Durations | MetricKind::CallTimes)
        && has_mosns_name(&family.name)
}

fn has_mosns_name(name: &str) -> bool {
    name.starts_with("downstream_") || name.starts_with("upstream_")
}

/// What the percentiles of a family of histograms are called.
pub(super) fn name_of_levels(family: &MetricFamily) -> Arc<str> {
    level_name(&family.name)
}

fn level_name(name: &Arc<str>) -> Arc<str> {
    if has_mosns_name(name) { name.clone() } else { format!("{name}_percentile").into() }
}

/// A level of a histogram, which is no integer.
pub(super) struct Level {
    pub(super) name: Arc<str>,
    pub(super) labels: Vec<(String, String)>,
}

/// A level `{percentile="P99"}` of a histogram per percentile. Those that MOSN
/// does not have keep their unit, and are called `…_percentile`.
pub(super) fn levels(series: &Series, percentiles: &[Percentile]) -> Vec<(Level, f64)> {
    let SeriesValue::Histogram { buckets, count, .. } = &series.value else { return Vec::new() };
    let scale = if has_mosns_name(&series.name) { NANOS_IN_MILLI } else { 1.0 };
    let levels = percentiles.iter().filter_map(|percentile| {
        let level = percentile.estimate(buckets, *count)? * scale;
        let label = ("percentile".to_owned(), format!("P{}", percentile.0));
        let labels = series.labels.iter().cloned().chain([label]).collect();
        Some((Level { name: level_name(&series.name), labels }, level))
    });
    levels.collect()
}

const NANOS_IN_MILLI: f64 = 1e6;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_lie_evenly_in_their_bucket() {
        let buckets = [(10.0, 0), (20.0, 50), (40.0, 100)];
        let of = |number| Percentile::new(number).unwrap().estimate(&buckets, 100).unwrap();
        assert_eq!((of(1), of(50), of(75), of(100)), (10.2, 20.0, 30.0, 40.0));
        assert_eq!(Percentile::new(50).unwrap().estimate(&buckets, 0), None);
        assert_eq!(Percentile::new(99).unwrap().estimate(&buckets, 1000), Some(40.0));
        assert!(Percentile::new(0).is_none() && Percentile::new(101).is_none());
    }

    proptest! {
        #[test]
        fn higher_percentiles_are_not_lower(counts in proptest::collection::vec(0_u64..5, 3), over in 0_u64..5) {
            let mut sum = 0;
            let buckets: Vec<(f64, u64)> = counts.iter().zip([1.0, 5.0, 9.0]).map(|(count, bound)| {
                sum += count;
                (bound, sum)
            }).collect();
            let all: Vec<Option<f64>> =
                (1..=100).map(|p| Percentile::new(p).unwrap().estimate(&buckets, sum + over)).collect();
            prop_assert!(all.is_sorted());
            prop_assert!(all.iter().flatten().all(|value| (0.0..=9.0).contains(value)));
        }
    }
}
