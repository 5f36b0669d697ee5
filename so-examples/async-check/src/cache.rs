//! Verdicts that are still good, for one worker.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use crate::check::Verdict;

pub struct Cache {
    time: Duration,
    entries: usize,
    /// By credential, with the host's monotonic time at which it ends.
    verdicts: RefCell<HashMap<Vec<u8>, (Verdict, Duration)>>,
}

impl Cache {
    pub fn new(time: Duration, entries: usize) -> Cache {
        Cache { time, entries, verdicts: RefCell::default() }
    }

    pub fn get(&self, credential: &[u8], now: Duration) -> Option<Verdict> {
        let verdicts = self.verdicts.borrow();
        verdicts.get(credential).filter(|(_, end)| now < *end).map(|(verdict, _)| *verdict)
    }

    pub fn put(&self, credential: Vec<u8>, verdict: Verdict, now: Duration) {
        let mut verdicts = self.verdicts.borrow_mut();
        if verdicts.len() >= self.entries {
            verdicts.retain(|_, (_, end)| now < *end);
        }
        // Clients choose credentials, so the bound holds whatever they send;
        // starting anew costs one check each.
        if verdicts.len() >= self.entries {
            verdicts.clear();
        }
        if self.entries > 0 {
            verdicts.insert(credential, (verdict, now + self.time));
        }
    }
}
