//! Which series are shown, and the sums over listeners that MOSN's users know
//! as `{proxy="global"}`.

use std::sync::Arc;

use sidegate_api::{MetricFamily, MetricSnapshot, Metrics, Series, SeriesValue};

/// MOSN's `stats_matcher`: what is left out wherever statistics are shown. It
/// is still counted: to leave a counter alone costs as much as to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatsMatcher {
    /// Nothing is shown.
    RejectAll,
    /// Everything is shown but this.
    Exclude {
        /// Names of labels: series that have one of them are left out.
        labels: Vec<String>,
        /// Names of series, whole or without the first word, which MOSN calls
        /// the type.
        keys: Vec<String>,
    },
}

impl Default for StatsMatcher {
    /// Everything is shown.
    fn default() -> Self {
        StatsMatcher::Exclude { labels: Vec::new(), keys: Vec::new() }
    }
}

/// What is shown. Values are read one by one, whenever they are asked for, so
/// that many series need no memory at once.
#[derive(Debug, Default)]
pub struct Stats {
    snapshot: MetricSnapshot,
    /// Those with sums come first.
    pub(super) families: Vec<ShownFamily>,
    left_out: LeftOut,
    /// Labels of all sums.
    of_all: Arc<[(String, String)]>,
}

/// A family of which something may be shown.
#[derive(Debug)]
pub(super) struct ShownFamily {
    pub(super) family: MetricFamily,
    /// Whether it has a sum.
    global: Global,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Global {
    Summed,
    None,
}

#[derive(Debug, Default)]
struct LeftOut {
    labels: Vec<String>,
    keys: Vec<String>,
}

const GLOBAL: (&str, &str) = ("proxy", "global");

/// The series of `metrics` that `matcher` leaves.
pub fn collect(metrics: &Metrics, matcher: &StatsMatcher) -> Stats {
    let StatsMatcher::Exclude { labels, keys } = matcher else { return Stats::default() };
    let left_out = LeftOut { labels: labels.clone(), keys: keys.clone() };
    let snapshot = metrics.snapshot();
    let is_shown = |family: &&MetricFamily| left_out.shows_name(&family.name);
    let families = snapshot.families().iter().filter(is_shown).map(|family| {
        let of_listeners = || (0..family.len()).any(|index| is_of_listener(&snapshot, family, index));
        let has_sum = left_out.shows_label(GLOBAL.0) && family.name.starts_with("downstream_") && of_listeners();
        ShownFamily { family: family.clone(), global: if has_sum { Global::Summed } else { Global::None } }
    });
    let (mut first, rest): (Vec<_>, Vec<_>) = families.partition(|shown| shown.global == Global::Summed);
    first.extend(rest);
    let of_all = Arc::from([(GLOBAL.0.to_owned(), GLOBAL.1.to_owned())]);
    Stats { families: first, snapshot, left_out, of_all }
}

impl Stats {
    /// All of them: sums, then each owner's.
    pub fn iter(&self) -> impl Iterator<Item = Series> {
        let sums = self.families.iter().filter_map(|family| self.global(family));
        sums.chain((0..self.owners()).flat_map(|owner| self.series_of(owner)))
    }

    /// Number of owners of series.
    pub(super) fn owners(&self) -> usize {
        self.snapshot.owners()
    }

    /// Labels of an owner, if it is shown.
    pub(super) fn owner(&self, index: usize) -> Option<&Arc<[(String, String)]>> {
        self.snapshot.owner(index).filter(|labels| self.left_out.shows(labels))
    }

    /// Names of an owner's series.
    pub(super) fn names_of(&self, owner: usize) -> impl Iterator<Item = &Arc<str>> {
        self.snapshot.names_of(owner).filter(|name| self.left_out.shows_name(name))
    }

    /// Series of an owner.
    pub(super) fn series_of(&self, owner: usize) -> impl Iterator<Item = Series> {
        let is_shown = self.owner(owner).is_some();
        let series = is_shown.then(|| self.snapshot.series_of(owner));
        series.into_iter().flatten().filter(|one| self.left_out.shows_name(&one.name))
    }

    /// The `index`-th series of a family, if it is shown.
    pub(super) fn series(&self, shown: &ShownFamily, index: usize) -> Option<Series> {
        self.snapshot.labels(&shown.family, index).filter(|labels| self.left_out.shows(labels))?;
        self.snapshot.series(&shown.family, index)
    }

    /// Whether a family has anything to show.
    pub(super) fn has_any(&self, shown: &ShownFamily) -> bool {
        let is_shown = |labels: &Arc<[_]>| self.left_out.shows(labels);
        shown.global == Global::Summed
            || (0..shown.family.len()).any(|index| self.snapshot.labels(&shown.family, index).is_some_and(is_shown))
    }

    /// A family's sum over all listeners.
    pub(super) fn global(&self, shown: &ShownFamily) -> Option<Series> {
        if shown.global == Global::None {
            return None;
        }
        let family = &shown.family;
        let listeners = (0..family.len()).filter(|&index| is_of_listener(&self.snapshot, family, index));
        let mut series = listeners.filter_map(|index| self.snapshot.series(family, index));
        let mut sum = series.next()?;
        series.for_each(|one| add(&mut sum.value, &one.value));
        Some(Series { labels: self.of_all.clone(), ..sum })
    }
}

impl LeftOut {
    fn shows(&self, labels: &[(String, String)]) -> bool {
        labels.iter().all(|(name, _)| self.shows_label(name))
    }

    fn shows_label(&self, name: &str) -> bool {
        !self.labels.iter().any(|excluded| excluded == name)
    }

    fn shows_name(&self, name: &str) -> bool {
        let key = name.split_once('_').map_or("", |(_, key)| key);
        !self.keys.iter().any(|excluded| *excluded == *name || excluded == key)
    }
}

fn is_of_listener(snapshot: &MetricSnapshot, family: &MetricFamily, index: usize) -> bool {
    snapshot.labels(family, index).is_some_and(|labels| matches!(&**labels, [(label, _)] if label == "listener"))
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
