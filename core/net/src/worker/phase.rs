//! What is wanted of workers and listeners.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::ListenerId;

/// What is wanted of a process or a listener. Later ones are further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunPhase {
    /// Serve.
    Running,
    /// Close what is idle, let streams finish, take no new connections.
    Draining,
    /// End at once.
    Stopping,
}

/// Whom a phase is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Process,
    Listener(ListenerId),
}

/// A phase that all threads see.
#[derive(Debug)]
pub(crate) struct SharedPhase(AtomicU8);

impl SharedPhase {
    pub(crate) fn new() -> Self {
        SharedPhase(AtomicU8::new(RunPhase::Running as u8))
    }

    pub(crate) fn get(&self) -> RunPhase {
        let stored = self.0.load(Ordering::Acquire);
        let known = [RunPhase::Running, RunPhase::Draining];
        known.into_iter().find(|phase| *phase as u8 == stored).unwrap_or(RunPhase::Stopping)
    }

    pub(crate) fn set(&self, phase: RunPhase) {
        self.0.store(phase as u8, Ordering::Release);
    }
}
