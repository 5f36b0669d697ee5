//! What a filter answered in place of the upstream.

use std::sync::OnceLock;

use sidegate_api::{Counter, Metrics};

/// `sidegate_filter_replies_total{listener,filter,status}` of one place in a
/// chain. A series is there from its first reply on, since most statuses never
/// come, and stays while the place does, whatever configurations follow each
/// other; finding it again takes no lock.
#[derive(Debug)]
pub struct FilterReplies {
    metrics: Metrics,
    listener: Box<str>,
    filter: Box<str>,
    /// By hundreds, from 200 on.
    hundreds: [OnceLock<Hundred>; 4],
}

const NAME: &str = "sidegate_filter_replies_total";
const FIRST: u16 = 200;
const LAST: u16 = 599;

type Hundred = Box<[OnceLock<Option<Counter>>]>;

impl FilterReplies {
    /// Those of `filter` in the chain of `listener`.
    pub fn new(metrics: &Metrics, listener: &str, filter: &str) -> Self {
        let hundreds = Default::default();
        let replies =
            FilterReplies { metrics: metrics.clone(), listener: listener.into(), filter: filter.into(), hundreds };
        // What the same place has answered under a configuration before.
        for status in FIRST..=LAST {
            let labels = [("listener", listener), ("filter", filter), ("status", &*status.to_string())];
            if let Some(known) = metrics.known_counter(NAME, &labels) {
                replies.place(status).map(|place| place.get_or_init(|| Some(known)));
            }
        }
        replies
    }

    /// The filter replied with `status`, which is 200 to 599.
    #[cold]
    pub fn count(&self, status: u16) {
        let Some(place) = self.place(status) else { return };
        if let Some(counter) = place.get_or_init(|| self.define(status)) {
            counter.inc();
        }
    }

    fn place(&self, status: u16) -> Option<&OnceLock<Option<Counter>>> {
        let hundred = self.hundreds.get(usize::from(status / 100).checked_sub(2)?)?;
        let hundred = hundred.get_or_init(|| (0..100).map(|_| OnceLock::new()).collect());
        Some(&hundred[usize::from(status % 100)])
    }

    /// `None` if the store of metrics is full: replies go on uncounted.
    fn define(&self, status: u16) -> Option<Counter> {
        let status = status.to_string();
        let labels = [("listener", &*self.listener), ("filter", &*self.filter), ("status", &*status)];
        self.metrics.counter(NAME, &labels).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sidegate_api::{MetricBounds, SeriesValue};

    use super::*;

    #[test]
    fn replies_are_counted_by_status() {
        let metrics = Metrics::new(1);
        let replies = FilterReplies::new(&metrics, "l", "auth");
        assert!(metrics.read().is_empty());
        for status in [403, 403, 200, 599, 100, 600, 999] {
            replies.count(status);
        }
        let counted: Vec<(String, SeriesValue)> =
            metrics.read().into_iter().map(|one| (one.labels[2].1.clone(), one.value)).collect();
        let expected = [("403", 2), ("200", 1), ("599", 1)]
            .map(|(status, count)| (status.to_owned(), SeriesValue::Counter(count)));
        assert_eq!(counted, expected);
    }

    #[test]
    fn the_next_configuration_keeps_the_series() {
        let at_once = MetricBounds { unread: Duration::ZERO, departed: 0, ..MetricBounds::default() };
        let metrics = Metrics::with_bounds(1, at_once);
        let mut replies = FilterReplies::new(&metrics, "l", "auth");
        replies.count(403);
        for _ in 0..3 {
            replies = FilterReplies::new(&metrics, "l", "auth");
        }
        replies.count(403);
        let other = FilterReplies::new(&metrics, "l", "other");
        other.count(200);
        let counts = |metrics: &Metrics| metrics.read().into_iter().map(|one| one.value).collect::<Vec<_>>();
        assert_eq!(counts(&metrics), [SeriesValue::Counter(2), SeriesValue::Counter(1)]);
        drop(replies);
        assert_eq!(counts(&metrics), [SeriesValue::Counter(1)]);
    }
}
