//! A worker's streams that hold many bytes, so that the heaviest can be found.

use std::cell::{Cell, RefCell};
use std::task::Waker;

/// A stream's place among the heavy ones; most streams never get one.
#[derive(Debug, Default)]
pub struct HeavyMark(Cell<Option<usize>>);

/// The streams of one worker that hold more than a little.
#[derive(Debug, Default)]
pub(crate) struct Heavy {
    entries: RefCell<Vec<Entry>>,
    free: RefCell<Vec<usize>>,
    /// Entries that are condemned and have not left.
    condemned: Cell<usize>,
}

#[derive(Debug)]
struct Entry {
    bytes: u64,
    /// Of the task that runs the stream; none in a free entry.
    waker: Option<Waker>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Tolerated,
    Condemned,
}

impl Heavy {
    /// The stream of `mark` holds `bytes`; it is woken by `waker` if it has to
    /// go.
    pub(crate) fn put(&self, mark: &HeavyMark, bytes: u64, waker: &Waker) {
        let mut entries = self.entries.borrow_mut();
        if let Some(entry) = mark.0.get().and_then(|slot| entries.get_mut(slot)) {
            entry.bytes = bytes;
            return;
        }
        let entry = Entry { bytes, waker: Some(waker.clone()), state: State::Tolerated };
        let slot = match self.free.borrow_mut().pop() {
            Some(slot) => {
                entries[slot] = entry;
                slot
            }
            None => {
                entries.push(entry);
                entries.len() - 1
            }
        };
        mark.0.set(Some(slot));
    }

    /// The stream is no heavy one any more.
    pub(crate) fn remove(&self, mark: &HeavyMark) {
        let Some(slot) = mark.0.take() else { return };
        let mut entries = self.entries.borrow_mut();
        if let Some(entry) = entries.get_mut(slot) {
            if entry.state == State::Condemned {
                self.condemned.set(self.condemned.get().saturating_sub(1));
            }
            *entry = Entry { bytes: 0, waker: None, state: State::Free };
            self.free.borrow_mut().push(slot);
        }
    }

    /// Whether the stream of `mark` has to go.
    #[inline]
    pub(crate) fn is_condemned(&self, mark: &HeavyMark) -> bool {
        self.condemned.get() > 0 && self.looked_up(mark)
    }

    #[cold]
    fn looked_up(&self, mark: &HeavyMark) -> bool {
        let entries = self.entries.borrow();
        mark.0.get().and_then(|slot| entries.get(slot)).is_some_and(|entry| entry.state == State::Condemned)
    }

    /// Condemns the heaviest until they hold `bytes` together; how many.
    pub(crate) fn condemn(&self, bytes: u64) -> usize {
        let mut wakers = Vec::new();
        {
            let mut entries = self.entries.borrow_mut();
            let condemned = entries.iter().filter(|entry| entry.state == State::Condemned);
            // What goes already counts.
            let mut found: u64 = condemned.map(|entry| entry.bytes).sum();
            let mut order: Vec<usize> =
                (0..entries.len()).filter(|&slot| entries[slot].state == State::Tolerated).collect();
            order.sort_unstable_by_key(|&slot| std::cmp::Reverse(entries[slot].bytes));
            for slot in order {
                if found >= bytes {
                    break;
                }
                let entry = &mut entries[slot];
                found += entry.bytes;
                entry.state = State::Condemned;
                wakers.extend(entry.waker.clone());
            }
        }
        self.condemned.set(self.condemned.get() + wakers.len());
        let count = wakers.len();
        wakers.into_iter().for_each(Waker::wake);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_go_first_and_no_more_than_needed() {
        let heavy = Heavy::default();
        let marks: Vec<HeavyMark> = (0..4).map(|_| HeavyMark::default()).collect();
        for (mark, bytes) in marks.iter().zip([10, 40, 30, 20]) {
            heavy.put(mark, bytes, Waker::noop());
        }
        assert_eq!(heavy.condemn(50), 2);
        let condemned: Vec<bool> = marks.iter().map(|mark| heavy.is_condemned(mark)).collect();
        assert_eq!(condemned, [false, true, true, false]);
        assert_eq!(heavy.condemn(60), 0, "those that go already suffice");
        heavy.remove(&marks[1]);
        heavy.remove(&marks[2]);
        assert_eq!(heavy.condemned.get(), 0);
        let again = HeavyMark::default();
        heavy.put(&again, 5, Waker::noop());
        heavy.put(&again, 50, Waker::noop());
        assert_eq!(heavy.condemn(1), 1);
        assert!(heavy.is_condemned(&again));
        assert_eq!(heavy.entries.borrow().len(), 4, "places are used again");
    }
}
