//! The thread behind a sink, and what it shares with those who log.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant, SystemTime};

use sidegate_api::Counter;

use super::output::{Output, Unwritten};
use super::{FlushOutcome, LogSwitch};
use crate::{LogRotation, LogTarget};

/// Most bytes that wait in one buffer.
const MAX_BUFFERED: usize = 1 << 20;
/// A buffer this full wakes the writer before its pause is over.
const HURRY: usize = MAX_BUFFERED / 2;
/// Memory a buffer may keep after a burst.
const KEEP: usize = 64 * 1024;

/// When the writer writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As soon as a line is there: for the process log, whose last lines matter
    /// most if the process dies.
    AtOnce,
    /// After a short pause, many lines with one write.
    Batched,
}

impl Pace {
    fn pause(self) -> Option<Duration> {
        match self {
            Pace::AtOnce => None,
            Pace::Batched => Some(Duration::from_millis(50)),
        }
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    target: LogTarget,
    pace: Pace,
    shards: Box<[Shard]>,
    off: AtomicBool,
    /// The writer found nothing to do and sleeps until woken.
    idle: AtomicBool,
    stop: AtomicBool,
    reopen: AtomicBool,
    /// How the file is to be set aside; taken over with a reopening.
    rotation: Mutex<Option<LogRotation>>,
    flush_asked: AtomicU64,
    flush_done: Mutex<u64>,
    flushed: Condvar,
    dropped: AtomicU64,
    dropped_metric: Option<Counter>,
    writer: OnceLock<Thread>,
}

/// Aligned so that two workers' locks share no cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Shard(Mutex<Vec<u8>>);

impl std::ops::Deref for Shard {
    type Target = Mutex<Vec<u8>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Shared {
    pub(super) fn new(target: LogTarget, pace: Pace, shards: usize, dropped_metric: Option<Counter>) -> Self {
        Shared {
            target,
            pace,
            shards: (0..shards).map(|_| Shard::default()).collect(),
            off: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            rotation: Mutex::default(),
            flush_asked: AtomicU64::new(0),
            flush_done: Mutex::new(0),
            flushed: Condvar::new(),
            dropped: AtomicU64::new(0),
            dropped_metric,
            writer: OnceLock::new(),
        }
    }

    pub(super) fn target(&self) -> &LogTarget {
        &self.target
    }

    pub(super) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn switch(&self, to: LogSwitch) {
        self.off.store(to == LogSwitch::Off, Ordering::Relaxed);
    }

    pub(super) fn state(&self) -> LogSwitch {
        if self.off.load(Ordering::Relaxed) { LogSwitch::Off } else { LogSwitch::On }
    }

    /// Whether there is no writer at all.
    pub(super) fn is_unattended(&self) -> bool {
        self.writer.get().is_none()
    }

    /// Appends what `write` writes to `buffer`, a locked shard, unless it is
    /// full.
    pub(super) fn append(&self, mut buffer: MutexGuard<'_, Vec<u8>>, write: impl FnOnce(&mut Vec<u8>)) {
        let before = buffer.len();
        if before >= MAX_BUFFERED {
            return self.count_dropped(1);
        }
        write(&mut buffer);
        let hurry = before < HURRY && buffer.len() >= HURRY;
        drop(buffer);
        // The writer sets `idle` before it looks into the buffers a last time,
        // under their locks: either it found this line or we find `idle` set.
        if hurry || (self.idle.load(Ordering::Relaxed) && self.idle.swap(false, Ordering::Relaxed)) {
            self.wake();
        }
    }

    /// Whether that is another one than before.
    pub(super) fn set_rotation(&self, rotation: Option<LogRotation>) -> bool {
        let mut known = self.rotation.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *known, rotation) != rotation
    }

    fn rotation(&self) -> Option<LogRotation> {
        *self.rotation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ask_reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn ask_stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn flush(&self, patience: Duration) -> FlushOutcome {
        let ticket = self.flush_asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake();
        let done = self.flush_done.lock().unwrap_or_else(PoisonError::into_inner);
        let (done, _) = self
            .flushed
            .wait_timeout_while(done, patience, |done| *done < ticket)
            .unwrap_or_else(PoisonError::into_inner);
        if *done >= ticket { FlushOutcome::Written } else { FlushOutcome::TimedOut }
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    fn count_dropped(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
        if let Some(metric) = &self.dropped_metric {
            metric.add(lines);
        }
    }

    fn is_asked(&self) -> bool {
        self.stop.load(Ordering::Acquire)
            || self.reopen.load(Ordering::Acquire)
            || self.flush_asked.load(Ordering::Acquire) > *self.done()
    }

    fn done(&self) -> MutexGuard<'_, u64> {
        self.flush_done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the writer of `shared`.
pub(super) fn spawn(shared: Arc<Shared>, output: Output) -> io::Result<()> {
    let for_thread = shared.clone();
    let thread = thread::Builder::new().name("log-writer".to_owned()).spawn(move || {
        Writer { shared: for_thread, output, taken: Vec::new(), failing: false }.run();
    })?;
    let _ = shared.writer.set(thread.thread().clone());
    Ok(())
}

struct Writer {
    shared: Arc<Shared>,
    output: Output,
    taken: Vec<u8>,
    /// The last write failed and was reported.
    failing: bool,
}

enum Drained {
    Nothing,
    Something,
}

impl Writer {
    fn run(mut self) {
        loop {
            let ticket = self.shared.flush_asked.load(Ordering::Acquire);
            let stop = self.shared.stop.load(Ordering::Acquire);
            let drained = self.drain();
            if self.shared.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            *self.shared.done() = ticket;
            self.shared.flushed.notify_all();
            if stop {
                return;
            }
            match drained {
                Drained::Something => self.pause(),
                Drained::Nothing => {
                    self.sleep();
                    self.pause();
                }
            }
        }
    }

    /// Until somebody logs or asks.
    fn sleep(&self) {
        let shared = &self.shared;
        shared.idle.store(true, Ordering::Relaxed);
        let is_empty =
            shared.shards.iter().all(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).is_empty());
        if is_empty && !shared.is_asked() {
            thread::park();
        }
        shared.idle.store(false, Ordering::Relaxed);
    }

    /// For the length of a batch, unless somebody asks or a buffer runs full.
    fn pause(&self) {
        let Some(pause) = self.shared.pace.pause() else { return };
        let end = Instant::now() + pause;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let is_full =
                self.shared.shards.iter().any(|s| s.lock().unwrap_or_else(PoisonError::into_inner).len() >= HURRY);
            if left.is_zero() || is_full || self.shared.is_asked() {
                return;
            }
            thread::park_timeout(left);
        }
    }

    fn drain(&mut self) -> Drained {
        let mut drained = Drained::Nothing;
        let shared = self.shared.clone();
        for shard in &shared.shards {
            {
                let mut buffer = shard.lock().unwrap_or_else(PoisonError::into_inner);
                if buffer.is_empty() {
                    continue;
                }
                std::mem::swap(&mut *buffer, &mut self.taken);
            }
            drained = Drained::Something;
            self.write();
            if self.taken.len() < KEEP {
                self.taken.shrink_to(KEEP);
            }
            self.taken.clear();
        }
        drained
    }

    fn write(&mut self) {
        match self.output.write(&self.taken, SystemTime::now) {
            Ok(()) => self.failing = false,
            Err(Unwritten { bytes, error }) => self.lose(bytes, error),
        }
    }

    /// Counts the lines in the last `bytes` of `taken`, which were not written.
    fn lose(&mut self, bytes: usize, error: io::Error) {
        let rest = &self.taken[self.taken.len() - bytes..];
        let lines = rest.iter().filter(|&&b| b == b'\n').count();
        self.shared.count_dropped(lines as u64);
        // Once per bout: for the process log this very message is a line that
        // may fail to be written.
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(log = %self.shared.target, %error, "cannot write to a log; its lines are lost");
        }
    }

    fn reopen(&mut self) {
        match self.output.reopen(self.shared.rotation()) {
            Ok(()) => self.failing = false,
            Err(error) => tracing::error!(%error, "a log was not reopened; going on with the old file"),
        }
    }
}
