//! The end of the process, whatever its threads do.

use std::time::Duration;

/// Exit code of a process that something in it kept from ending: EX_SOFTWARE
/// of `sysexits.h`.
pub const HELD_UP: i32 = 70;

/// Ends the process at once: no destructor runs, no thread is asked.
pub fn end_now(code: i32) -> ! {
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// The process is about to end by itself. Should destructors of threads or
/// libraries hold it up for longer than `patience`, `complain` is called and
/// it ends all the same, with [`HELD_UP`].
pub fn end_within(patience: Duration, complain: impl FnOnce() + Send + 'static) {
    let last = std::thread::Builder::new().name("last".into());
    // Without the thread the process ends as well, unless it is held up.
    let _ = last.spawn(move || {
        std::thread::sleep(patience);
        complain();
        end_now(HELD_UP);
    });
}
