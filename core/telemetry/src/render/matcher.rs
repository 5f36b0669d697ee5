//! Which series are shown.

use sidegate_api::{Metrics, Series};

use super::global::with_global;

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

/// All series of `metrics` that `matcher` leaves, with the sums over listeners
/// that MOSN's users know as `{proxy="global"}`.
pub fn collect(metrics: &Metrics, matcher: &StatsMatcher) -> Vec<Series> {
    match matcher {
        StatsMatcher::RejectAll => Vec::new(),
        StatsMatcher::Exclude { labels, keys } => {
            // Sums come first: who leaves out single listeners still sees them.
            let mut series = with_global(metrics.read());
            series.retain(|one| {
                let has_label = one.labels.iter().any(|(name, _)| labels.contains(name));
                let key = one.name.split_once('_').map_or("", |(_, key)| key);
                !has_label && !keys.iter().any(|excluded| *excluded == *one.name || excluded == key)
            });
            series
        }
    }
}
