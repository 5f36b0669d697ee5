//! Waking a stream that a filter put to sleep with `Pending`.

use std::sync::Arc;
use std::task::{Context, Waker};

// Not from `std` directly: a test runs this file with `loom`'s.
use crate::sync::{AtomicU64, Mutex, Ordering};

/// One stream's place for resumes: lives as long as the longest-living handle,
/// which may be longer than the stream. Each `Pending` has a token; a resume
/// carries the token it was made for, so a stale one can do nothing.
#[derive(Debug, Default)]
pub struct ResumeSlot {
    /// `token << 2 | state`; token 0 with CLOSED means the stream has ended.
    word: AtomicU64,
    /// Locked only when a stream waits or is woken, never in plain traffic.
    waker: Mutex<Option<Waker>>,
}

const ARMED: u64 = 1;
const RESUMED: u64 = 2;
const CLOSED: u64 = 3;
const STATE: u64 = 3;

/// What a call to [`ResumeHandle::resume`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeOutcome {
    /// The stream will go on.
    Resumed,
    /// This token was resumed before; nothing happened.
    Already,
    /// The stream has ended or has moved on; nothing happened.
    Gone,
}

/// Resumes one `Pending` of one stream, from any thread, once.
#[derive(Debug, Clone)]
pub struct ResumeHandle {
    slot: Arc<ResumeSlot>,
    token: u64,
}

impl ResumeSlot {
    /// A slot for a new stream.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Arms the slot for the next `Pending` and returns its handle. A second
    /// call before the wait began returns a handle for the same wait.
    pub fn arm(self: &Arc<Self>) -> ResumeHandle {
        let word = self.word.load(Ordering::Acquire);
        let token = match word & STATE {
            ARMED | RESUMED => word >> 2,
            _ => {
                let token = (word >> 2) + 1;
                self.word.store(token << 2 | ARMED, Ordering::Release);
                token
            }
        };
        ResumeHandle { slot: self.clone(), token }
    }

    /// Whether the current wait was resumed; consumes the resume. Registers
    /// `cx` otherwise.
    pub fn poll_resumed(&self, cx: &Context<'_>) -> bool {
        if self.take_resumed() {
            return true;
        }
        {
            let mut waker = self.waker.lock().unwrap_or_else(|e| e.into_inner());
            match &*waker {
                Some(known) if known.will_wake(cx.waker()) => {}
                _ => *waker = Some(cx.waker().clone()),
            }
        }
        // A resume between the first look and the registration is seen here.
        self.take_resumed()
    }

    /// Ends the current wait: handles made for it answer
    /// [`ResumeOutcome::Gone`] from now on. True if a resume came before that
    /// and was answered [`ResumeOutcome::Resumed`].
    pub fn disarm(&self) -> bool {
        let token = self.word.load(Ordering::Acquire) >> 2;
        // A handle may turn ARMED into RESUMED right here, and nothing else
        // changes the word from another thread.
        self.word.swap(token << 2, Ordering::AcqRel) & STATE == RESUMED
    }

    /// Ends the stream: every handle answers [`ResumeOutcome::Gone`].
    pub fn close(&self) {
        let token = self.word.load(Ordering::Acquire) >> 2;
        // Swapped and not stored, so that it comes after any resume's exchange.
        self.word.swap(token << 2 | CLOSED, Ordering::AcqRel);
        *self.waker.lock().unwrap_or_else(|e| e.into_inner()) = None;
    }

    fn take_resumed(&self) -> bool {
        let word = self.word.load(Ordering::Acquire);
        if word & STATE != RESUMED {
            return false;
        }
        self.word.store(word & !STATE, Ordering::Release);
        true
    }
}

impl ResumeHandle {
    /// Lets the stream go on. Never blocks on the stream's worker.
    pub fn resume(&self) -> ResumeOutcome {
        let armed = self.token << 2 | ARMED;
        let resumed = self.token << 2 | RESUMED;
        match self.slot.word.compare_exchange(armed, resumed, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                let waker = self.slot.waker.lock().unwrap_or_else(|e| e.into_inner()).take();
                if let Some(waker) = waker {
                    waker.wake();
                }
                ResumeOutcome::Resumed
            }
            Err(now) if now == resumed => ResumeOutcome::Already,
            Err(_) => ResumeOutcome::Gone,
        }
    }
}
