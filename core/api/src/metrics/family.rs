//! Counters of one family whose labels are learnt while it counts.

use std::fmt;
use std::sync::OnceLock;

use super::{Counter, Metrics};

/// Counters of one name that differ in `N` labels, whose values are few and
/// known to the program. Each is defined when it first counts. Looking for one
/// takes no lock, and a step for each that is there: for what is seldom beside
/// requests, such as handshakes.
pub struct CounterFamily<const N: usize> {
    metrics: Metrics,
    name: &'static str,
    /// Whose they are: the first label.
    owner: (&'static str, Box<str>),
    labels: [&'static str; N],
    first: Link<N>,
}

type Link<const N: usize> = OnceLock<Box<Node<N>>>;

struct Node<const N: usize> {
    values: [&'static str; N],
    /// `None`: there was no room for it.
    counter: Option<Counter>,
    next: Link<N>,
}

impl<const N: usize> CounterFamily<N> {
    /// Without any counter yet.
    pub fn new(
        metrics: &Metrics,
        name: &'static str,
        owner: (&'static str, &str),
        labels: [&'static str; N],
    ) -> CounterFamily<N> {
        let owner = (owner.0, owner.1.into());
        CounterFamily { metrics: metrics.clone(), name, owner, labels, first: Link::new() }
    }

    /// One more with these values of the labels.
    pub fn inc(&self, values: [&'static str; N]) {
        let mut link = &self.first;
        loop {
            // Another thread may be faster, with other values.
            let node = link.get_or_init(|| Box::new(self.define(values)));
            if node.values == values {
                return node.counter.iter().for_each(Counter::inc);
            }
            link = &node.next;
        }
    }

    #[cold]
    fn define(&self, values: [&'static str; N]) -> Node<N> {
        let own = (self.owner.0, &*self.owner.1);
        let labels: Vec<(&str, &str)> = std::iter::once(own).chain(self.labels.into_iter().zip(values)).collect();
        Node { values, counter: self.metrics.counter(self.name, &labels).ok(), next: Link::new() }
    }
}

impl<const N: usize> fmt::Debug for CounterFamily<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CounterFamily").field("name", &self.name).field("owner", &self.owner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_combination_has_a_counter_of_its_own() {
        let metrics = Metrics::new(4);
        let family = CounterFamily::new(&metrics, "shakes_total", ("listener", "in"), ["version", "resumed"]);
        let all = [["1.2", "true"], ["1.2", "false"], ["1.3", "true"], ["1.3", "false"]];
        std::thread::scope(|scope| {
            for turn in 0..4 {
                let family = &family;
                scope.spawn(move || (0..100).for_each(|round| family.inc(all[(turn + round) % 4])));
            }
        });
        for values in all {
            let labels = [("listener", "in"), ("version", values[0]), ("resumed", values[1])];
            assert_eq!(metrics.known_counter("shakes_total", &labels).unwrap().get(), 100, "{values:?}");
        }
        assert_eq!(metrics.read().len(), 4);
    }
}
