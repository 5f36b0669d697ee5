//! What filters saw, in order.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// Lines written by scripted filters; anybody can wait for one.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Log {
    pub fn push(&self, line: impl Into<String>) {
        self.0.0.lock().unwrap().push(line.into());
        self.0.1.notify_all();
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.0.lock().unwrap().clone()
    }

    /// Lines that hold `part`.
    pub fn with(&self, part: &str) -> Vec<String> {
        self.lines().into_iter().filter(|line| line.contains(part)).collect()
    }

    /// Waits until `count` lines hold `part`.
    pub fn wait_for(&self, part: &str, count: usize) {
        let lines = self.0.0.lock().unwrap();
        let found = |lines: &mut Vec<String>| lines.iter().filter(|line| line.contains(part)).count() < count;
        let (lines, waited) = self.0.1.wait_timeout_while(lines, PATIENCE, found).unwrap();
        assert!(!waited.timed_out(), "waited in vain for {count} × {part:?} in {lines:#?}");
    }

    /// Waits for anything else.
    pub fn wait_until(&self, mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < PATIENCE, "it did not come about; {:#?}", self.lines());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for `line` and checks that everything before it is as expected.
    pub fn expect(&self, lines: &[&str]) {
        self.wait_for(lines.last().unwrap(), 1);
        assert_eq!(self.lines(), lines);
    }
}
