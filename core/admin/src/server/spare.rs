//! A descriptor that is kept for the next client.

use std::fs::File;

/// Where a process has no descriptor left, the one kept here is given up for a
/// connection, so that whoever asks whether the process is ready gets an answer
/// whatever takes the rest.
#[derive(Debug)]
pub(super) struct Spare(Option<File>);

impl Spare {
    pub(super) fn new() -> Self {
        Spare(File::open("/dev/null").ok())
    }

    /// Frees it; whether it was there.
    pub(super) fn give_up(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Takes one back, as soon as there is one.
    pub(super) fn take_back(&mut self) {
        if self.0.is_none() {
            *self = Self::new();
        }
    }
}
