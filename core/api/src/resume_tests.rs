//! The resume slot, step by step; `tests/resume_races.rs` has the races.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};

use crate::{ResumeOutcome, ResumeSlot};

fn cx_poll(slot: &ResumeSlot) -> bool {
    slot.poll_resumed(&Context::from_waker(Waker::noop()))
}

#[test]
fn early_resume_is_latched() {
    let slot = ResumeSlot::new();
    let handle = slot.arm();
    assert_eq!(handle.resume(), ResumeOutcome::Resumed);
    assert!(cx_poll(&slot));
    assert!(!cx_poll(&slot));
}

#[test]
fn double_and_late_resumes_do_nothing() {
    let slot = ResumeSlot::new();
    let handle = slot.arm();
    assert_eq!(handle.resume(), ResumeOutcome::Resumed);
    assert_eq!(handle.resume(), ResumeOutcome::Already);
    assert!(cx_poll(&slot));
    assert_eq!(handle.resume(), ResumeOutcome::Gone);
    let next = slot.arm();
    assert_eq!(handle.resume(), ResumeOutcome::Gone);
    assert!(!cx_poll(&slot));
    slot.close();
    assert_eq!(next.resume(), ResumeOutcome::Gone);
}

#[test]
fn resume_from_another_thread_wakes() {
    use std::sync::atomic::AtomicBool;
    struct Flag(AtomicBool);
    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(flag.clone());
    let slot = ResumeSlot::new();
    let handle = slot.arm();
    assert!(!slot.poll_resumed(&Context::from_waker(&waker)));
    std::thread::spawn(move || handle.resume()).join().unwrap();
    assert!(flag.0.load(Ordering::SeqCst));
    assert!(cx_poll(&slot));
}
