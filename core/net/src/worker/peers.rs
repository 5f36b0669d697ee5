//! What a worker may ask the others for: to give up what they keep for later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// All workers of the process, as one of them sees them. Asking is for rare
/// moments: it wakes every other worker.
#[derive(Debug, Clone)]
pub struct Peers {
    all: Arc<All>,
    /// `None`: no worker itself.
    own: Option<usize>,
}

#[derive(Debug)]
struct All {
    asked: Box<[Notify]>,
    descriptors: AtomicU32,
    /// Workers that are to give ports.
    ports: AtomicU32,
}

/// Descriptors that are asked for at once: one alone would soon be asked for
/// again.
const DESCRIPTORS: u32 = 8;

impl Peers {
    /// For so many workers, seen from outside.
    pub(crate) fn new(count: usize) -> Self {
        let asked = (0..count).map(|_| Notify::new()).collect();
        Peers { all: Arc::new(All { asked, descriptors: AtomicU32::new(0), ports: AtomicU32::new(0) }), own: None }
    }

    /// As worker `index` sees them.
    pub(crate) fn seen_by(&self, index: usize) -> Self {
        Peers { all: self.all.clone(), own: Some(index) }
    }

    /// How many workers there are.
    pub(crate) fn len(&self) -> usize {
        self.all.asked.len()
    }

    /// Asks the others to close connections that they keep for later, where
    /// somebody waits for one.
    pub fn ask(&self) {
        for (index, asked) in self.all.asked.iter().enumerate() {
            if self.own != Some(index) {
                asked.notify_one();
            }
        }
    }

    /// The same because there are too few descriptors.
    pub fn ask_for_descriptors(&self) {
        self.all.descriptors.store(DESCRIPTORS, Ordering::Relaxed);
        self.ask();
    }

    /// The same because there are no local ports.
    pub fn ask_for_ports(&self) {
        let others = self.all.asked.len().saturating_sub(1);
        self.all.ports.store(u32::try_from(others).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.ask();
    }

    /// Waits until another asks this worker.
    pub async fn asked(&self) {
        match self.own.and_then(|own| self.all.asked.get(own)) {
            Some(asked) => asked.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Lets `close_idle` close connections that this worker keeps for later
    /// while descriptors are asked for; it says whether it had one.
    pub fn give_descriptors(&self, mut close_idle: impl FnMut() -> bool) {
        let wanted = &self.all.descriptors;
        while wanted.load(Ordering::Relaxed) > 0 && close_idle() {
            take_one(wanted);
        }
    }

    /// Lets `reset_idle` reset connections, if ports are asked for.
    pub fn give_ports(&self, reset_idle: impl FnOnce()) {
        if take_one(&self.all.ports) {
            reset_idle();
        }
    }
}

fn take_one(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_others_are_asked_and_give_no_more_than_is_wanted() {
        let all = Peers::new(3);
        let workers: Vec<_> = (0..3).map(|index| all.seen_by(index)).collect();
        workers[1].ask_for_descriptors();
        workers[0].asked().await;
        workers[2].asked().await;
        let own = tokio::time::timeout(std::time::Duration::ZERO, workers[1].asked()).await;
        assert!(own.is_err(), "it asked itself");
        let mut given = [0, 0];
        workers[0].give_descriptors(|| {
            given[0] += 1;
            given[0] <= 3
        });
        workers[2].give_descriptors(|| {
            given[1] += 1;
            true
        });
        assert_eq!(given, [4, 5], "three of one, five of the other, eight in all");
    }
}
