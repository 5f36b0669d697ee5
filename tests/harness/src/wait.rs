//! Waiting for a condition, never for time to pass.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take before a test calls it a failure. Generous: the
/// machine may be busy, and a passing test never waits this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// [`PATIENCE`], or the seconds of `SIDEGATE_TEST_PATIENCE`, for a proxy that a
/// memory checker slows down.
pub(crate) fn patience() -> Duration {
    let asked = std::env::var("SIDEGATE_TEST_PATIENCE").ok().and_then(|seconds| seconds.parse().ok());
    asked.map_or(PATIENCE, Duration::from_secs)
}

/// Asks `condition` until it answers, and panics naming `what` when
/// [`PATIENCE`] is over.
#[track_caller]
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let patience = patience();
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain for: {what}");
        pause();
    }
}

/// The pause between two questions of a polling loop.
pub(crate) fn pause() {
    std::thread::park_timeout(Duration::from_millis(3));
}

/// A gate that a test opens and a peer's script waits at.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everyone through, now and later.
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until the gate is open; panics when that takes longer than
    /// [`PATIENCE`].
    #[track_caller]
    pub fn wait(&self) {
        let open = self.0.0.lock().unwrap();
        let (open, _) = self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap();
        assert!(*open, "nobody opened the gate within {PATIENCE:?}");
    }
}
