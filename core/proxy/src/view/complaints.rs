//! Lines of the log about what a peer may do as often as it likes.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// So many lines in a period: an operator sees what goes on, and the log is no
/// way to fill a disk.
const LINES: u32 = 10;
const PERIOD: Duration = Duration::from_secs(10);

/// Admits some lines and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    since: Cell<Option<Instant>>,
    said: Cell<u32>,
    unsaid: Cell<u64>,
}

impl Complaints {
    /// Whether a line may be written at `now`, and how many were not since the
    /// last one.
    pub(crate) fn admit(&self, now: Instant) -> Option<u64> {
        let is_over = |since| now.saturating_duration_since(since) >= PERIOD;
        if self.since.get().is_none_or(is_over) {
            self.since.set(Some(now));
            self.said.set(0);
        }
        if self.said.get() == LINES {
            self.unsaid.set(self.unsaid.get() + 1);
            return None;
        }
        self.said.set(self.said.get() + 1);
        Some(self.unsaid.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_lines_are_written_and_the_others_counted() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        let admitted = (0..100).filter_map(|_| complaints.admit(start)).collect::<Vec<_>>();
        assert_eq!(admitted, [0; LINES as usize]);
        assert_eq!(complaints.admit(start + PERIOD / 2), None);
        assert_eq!(complaints.admit(start + PERIOD), Some(91));
        assert_eq!(complaints.admit(start + PERIOD), Some(0));
    }
}
