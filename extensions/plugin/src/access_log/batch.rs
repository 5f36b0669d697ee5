//! Lines that are sent together.

use std::collections::VecDeque;

use bytes::Bytes;

use super::queue::{Amount, Queue};

/// Lines with consecutive numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// Number of the first.
    pub(super) first: u64,
    pub(super) lines: Vec<Bytes>,
    /// In the lines.
    pub(super) bytes: usize,
}

impl Batch {
    pub(super) fn amount(&self) -> Amount {
        Amount { lines: self.lines.len(), bytes: self.bytes }
    }
}

/// Cuts lines into batches, and numbers them.
#[derive(Debug)]
pub(super) struct Cutter {
    bounds: Amount,
    /// Of the next line; the first is 1.
    number: u64,
}

impl Cutter {
    pub(super) fn new(bounds: Amount) -> Self {
        Cutter { bounds, number: 1 }
    }

    /// Everything that waits, in batches.
    pub(super) fn take(&mut self, queue: &Queue) -> VecDeque<Batch> {
        let mut batches = VecDeque::new();
        queue.take(|line| self.put(&mut batches, line));
        batches
    }

    /// Puts a line into the last batch, or into a new one. A line that is
    /// longer than a batch may be is one by itself.
    fn put(&mut self, batches: &mut VecDeque<Batch>, line: Bytes) {
        let bounds = self.bounds;
        let has_room = |last: &&mut Batch| {
            last.lines.len() < bounds.lines && last.bytes.saturating_add(line.len()) <= bounds.bytes
        };
        let number = self.number;
        self.number += 1;
        match batches.back_mut().filter(has_room) {
            Some(last) => {
                last.bytes += line.len();
                last.lines.push(line);
            }
            None => batches.push_back(Batch { first: number, bytes: line.len(), lines: vec![line] }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn batches_are_whole_and_numbered_and_no_larger_than_they_may_be(
            lengths in prop::collection::vec(0usize..40, 0..60),
            lines in 1usize..8,
            bytes in 1usize..60,
        ) {
            let mut cutter = Cutter::new(Amount { lines, bytes });
            let mut batches = VecDeque::new();
            for length in &lengths {
                cutter.put(&mut batches, vec![b'a'; *length].into());
            }
            let mut number = 1;
            for batch in &batches {
                prop_assert_eq!(batch.first, number);
                prop_assert_eq!(batch.bytes, batch.lines.iter().map(Bytes::len).sum::<usize>());
                prop_assert!(!batch.lines.is_empty() && batch.lines.len() <= lines);
                prop_assert!(batch.bytes <= bytes || batch.lines.len() == 1);
                number += batch.lines.len() as u64;
            }
            let all: Vec<usize> = batches.iter().flat_map(|batch| batch.lines.iter().map(Bytes::len)).collect();
            prop_assert_eq!(all, lengths);
        }
    }
}
