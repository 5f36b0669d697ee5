//! The way of log lines from any thread to a file: bounded buffers that one
//! writer thread per target empties.

mod aside;
mod output;
mod registry;
mod writer;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, TryLockError};
use std::time::Duration;

use self::output::Output;
pub use self::registry::LogSinks;
pub(crate) use self::writer::Pace;
use self::writer::Shared;
use crate::{LogError, LogRotation, LogTarget};
use sidegate_api::Counter;

/// A log's lines go in here; a thread writes them out. Cheap to clone; the
/// thread writes what is left and ends after the last clone is dropped.
#[derive(Debug, Clone)]
pub struct LogSink(Arc<Handle>);

#[derive(Debug)]
struct Handle(Arc<Shared>);

/// Whether a log takes lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSwitch {
    /// Lines are written.
    On,
    /// Lines are thrown away and not counted as dropped.
    Off,
}

/// Whether everything was written before the time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushOutcome {
    /// Every line that was there when asked.
    Written,
    /// The target takes lines too slowly, or not at all.
    TimedOut,
}

impl LogSink {
    pub(crate) fn open(
        target: LogTarget,
        rotation: Option<LogRotation>,
        pace: Pace,
        dropped: Option<Counter>,
    ) -> Result<Self, LogError> {
        let shards = match pace {
            // One buffer keeps the lines of all threads in order.
            Pace::AtOnce => 1,
            Pace::Batched => SHARDS,
        };
        let output = Output::open(target.clone(), rotation)?;
        let shared = Arc::new(Shared::new(target, pace, shards, dropped));
        shared.set_rotation(rotation);
        writer::spawn(shared.clone(), output).map_err(LogError::Thread)?;
        Ok(LogSink(Arc::new(Handle(shared))))
    }

    /// A sink without a file or thread that forgets every line.
    pub fn discard() -> Self {
        let shared = Shared::new(LogTarget::File("/dev/null".into()), Pace::Batched, 1, None);
        shared.switch(LogSwitch::Off);
        LogSink(Arc::new(Handle(Arc::new(shared))))
    }

    /// Where the lines go.
    pub fn target(&self) -> &LogTarget {
        self.shared().target()
    }

    /// Lines lost because the target took them too slowly or refused them.
    pub fn dropped(&self) -> u64 {
        self.shared().dropped()
    }

    /// Switches the log on or off.
    pub fn switch(&self, to: LogSwitch) {
        self.shared().switch(to);
    }

    /// Whether it is on.
    pub fn state(&self) -> LogSwitch {
        self.shared().state()
    }

    /// Asks the writer to open the target again by its name, after what is in
    /// the buffers was written to the old file.
    pub fn reopen(&self) {
        self.shared().ask_reopen();
    }

    /// How the file is set aside from now on.
    pub fn rotate_as(&self, rotation: Option<LogRotation>) {
        if self.shared().set_rotation(rotation) {
            self.shared().ask_reopen();
        }
    }

    /// Waits until what was logged before is written, and a `reopen` that was
    /// asked before is done.
    pub fn flush(&self, patience: Duration) -> FlushOutcome {
        if matches!(self.state(), LogSwitch::Off) && self.shared().is_unattended() {
            return FlushOutcome::Written;
        }
        self.shared().flush(patience)
    }

    /// Lets `write` append one line, with its line feed, to the calling
    /// thread's buffer.
    ///
    /// What it costs a worker: one uncontended compare-and-swap to take the
    /// buffer (only this worker and, for the time of a pointer swap, the writer
    /// want it), no allocation, and one system call to wake the writer only
    /// when it had nothing to do. A channel would cost an allocation per line
    /// and wake the writer for each.
    pub fn push(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let shared = self.shared();
        if shared.state() == LogSwitch::Off {
            return;
        }
        let shards = shared.shards();
        let own = thread_slot() % shards.len();
        for offset in 0..shards.len() {
            match shards[(own + offset) % shards.len()].try_lock() {
                Ok(buffer) => return shared.append(buffer, write),
                Err(TryLockError::Poisoned(buffer)) => return shared.append(buffer.into_inner(), write),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        // All are taken, each for a few instructions: waiting is short.
        shared.append(shards[own].lock().unwrap_or_else(PoisonError::into_inner), write);
    }

    fn shared(&self) -> &Shared {
        &self.0.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.ask_stop();
    }
}

const SHARDS: usize = 16;

/// A small number that tells threads apart, so that workers start at different
/// buffers. It is only a hint: sharing a buffer is correct.
fn thread_slot() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SLOT: Cell<Option<usize>> = const { Cell::new(None) };
    }
    SLOT.with(|slot| {
        slot.get().unwrap_or_else(|| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            slot.set(Some(number));
            number
        })
    })
}
