//! What a filter answered in place of the upstream.

use std::sync::OnceLock;

use sidegate_api::{Counter, Metrics};

/// `sidegate_filter_replies_total{listener,filter,status}` of one place in a
/// chain. A series is there from its first reply on, since most statuses never
/// come; finding it again takes no lock.
#[derive(Debug)]
pub struct FilterReplies {
    metrics: Metrics,
    listener: Box<str>,
    filter: Box<str>,
    /// By hundreds, from 200 on.
    hundreds: [OnceLock<Hundred>; 4],
}

type Hundred = Box<[OnceLock<Option<Counter>>]>;

impl FilterReplies {
    /// Those of `filter` in the chain of `listener`.
    pub fn new(metrics: &Metrics, listener: &str, filter: &str) -> Self {
        let hundreds = Default::default();
        FilterReplies { metrics: metrics.clone(), listener: listener.into(), filter: filter.into(), hundreds }
    }

    /// The filter replied with `status`, which is 200 to 599.
    #[cold]
    pub fn count(&self, status: u16) {
        let Some(hundred) = usize::from(status / 100).checked_sub(2).and_then(|index| self.hundreds.get(index)) else {
            return;
        };
        let hundred = hundred.get_or_init(|| (0..100).map(|_| OnceLock::new()).collect());
        let counter = hundred[usize::from(status % 100)].get_or_init(|| self.define(status));
        if let Some(counter) = counter {
            counter.inc();
        }
    }

    /// `None` if the store of metrics is full: replies go on uncounted.
    fn define(&self, status: u16) -> Option<Counter> {
        let status = status.to_string();
        let labels = [("listener", &*self.listener), ("filter", &*self.filter), ("status", &*status)];
        self.metrics.counter("sidegate_filter_replies_total", &labels).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_by_status() {
        let metrics = Metrics::new(1);
        let replies = FilterReplies::new(&metrics, "l", "auth");
        assert!(metrics.read().is_empty());
        for status in [403, 403, 200, 599, 100, 600, 999] {
            replies.count(status);
        }
        let counted: Vec<(String, sidegate_api::SeriesValue)> =
            metrics.read().into_iter().map(|one| (one.labels[2].1.clone(), one.value)).collect();
        let expected = [("403", 2), ("200", 1), ("599", 1)]
            .map(|(status, count)| (status.to_owned(), sidegate_api::SeriesValue::Counter(count)));
        assert_eq!(counted, expected);
    }
}
