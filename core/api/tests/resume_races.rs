//! The races of `Pending` and resume, in every order that the memory model
//! allows: this file compiles the slot with `loom`'s primitives.

#[path = "../src/resume.rs"]
#[allow(dead_code, reason = "the tests need a part of it")]
mod resume;

/// What `resume.rs` takes from the crate.
mod sync {
    pub(crate) use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::thread;
use resume::{ResumeHandle, ResumeOutcome, ResumeSlot};

/// Waits as a worker does. That every order ends is that no wake-up is lost.
fn wait(slot: &ResumeSlot) {
    block_on(poll_fn(|cx| if slot.poll_resumed(cx) { Poll::Ready(()) } else { Poll::Pending }));
}

fn is_resumed(slot: &ResumeSlot) -> bool {
    slot.poll_resumed(&Context::from_waker(Waker::noop()))
}

fn resume_elsewhere(handle: &ResumeHandle) -> thread::JoinHandle<ResumeOutcome> {
    let handle = handle.clone();
    thread::spawn(move || handle.resume())
}

#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let slot = ResumeSlot::new();
        let resumer = resume_elsewhere(&slot.arm());
        wait(&slot);
        assert_eq!(resumer.join().unwrap(), ResumeOutcome::Resumed);
        assert!(!is_resumed(&slot), "a resume counts once");
    });
}

#[test]
fn of_two_resumes_one_counts() {
    loom::model(|| {
        let slot = ResumeSlot::new();
        let handle = slot.arm();
        let resumers = [resume_elsewhere(&handle), resume_elsewhere(&handle)];
        wait(&slot);
        let outcomes = resumers.map(|resumer| resumer.join().unwrap());
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == ResumeOutcome::Resumed).count(), 1, "{outcomes:?}");
        assert!(!is_resumed(&slot));
    });
}

#[test]
fn a_wait_that_ends_knows_whether_it_was_resumed() {
    loom::model(|| {
        let slot = ResumeSlot::new();
        let handle = slot.arm();
        let resumer = resume_elsewhere(&handle);
        let seen = is_resumed(&slot) || slot.disarm();
        let outcome = resumer.join().unwrap();
        assert_eq!(seen, outcome == ResumeOutcome::Resumed, "{outcome:?}");
        assert_eq!(handle.resume(), ResumeOutcome::Gone);
    });
}

#[test]
fn a_stale_resume_does_not_end_the_next_wait() {
    loom::model(|| {
        let slot = ResumeSlot::new();
        let old = slot.arm();
        let resumer = resume_elsewhere(&old);
        slot.disarm();
        let new = slot.arm();
        resumer.join().unwrap();
        assert!(!is_resumed(&slot), "only the old wait was resumed");
        assert_eq!(old.resume(), ResumeOutcome::Gone);
        assert_eq!(new.resume(), ResumeOutcome::Resumed);
        assert!(is_resumed(&slot));
    });
}

#[test]
fn a_resume_that_meets_the_end_of_its_stream_does_nothing() {
    loom::model(|| {
        let slot = ResumeSlot::new();
        let handle = slot.arm();
        let resumer = resume_elsewhere(&handle);
        slot.close();
        resumer.join().unwrap();
        assert!(!is_resumed(&slot));
        assert_eq!(handle.resume(), ResumeOutcome::Gone);
        assert_eq!(Arc::strong_count(&slot), 2, "the slot lives as long as the handle");
    });
}
