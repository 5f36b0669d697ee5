//! The end of the process, whatever its threads do.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::crash::stack::HandlerStack;
use crate::crash::{Line, push_whereabouts};

/// Exit code of a process that something in it kept from ending, or ended:
/// EX_SOFTWARE of `sysexits.h`.
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
    DECLARED.store(true, Ordering::Relaxed);
    let last = std::thread::Builder::new().name("last".into());
    // Without the thread the process ends as well, unless it is held up.
    let _ = last.spawn(move || {
        std::thread::sleep(patience);
        complain();
        end_now(HELD_UP);
    });
}

/// Our own main function is about to return.
static DECLARED: AtomicBool = AtomicBool::new(false);
/// The process that is guarded, and not its children.
static GUARDED: AtomicU32 = AtomicU32::new(0);

/// From now on an `exit` that our main function has not declared is no clean
/// end, and no `quick_exit` is one.
pub(crate) fn guard() {
    GUARDED.store(std::process::id(), Ordering::Relaxed);
    put_first();
    // SAFETY: as in `put_first`.
    unsafe { at_quick_exit(on_quick_exit) };
}

/// To be called after a module was loaded, so that the guard comes before that
/// module's own destructors: handlers run last first. Nothing in a process
/// that is not guarded.
pub(crate) fn guard_again() {
    if GUARDED.load(Ordering::Relaxed) != 0 {
        put_first();
    }
}

fn put_first() {
    // SAFETY: a function of the program itself, which is never unloaded. A
    // full table leaves the guards that there are.
    unsafe { libc::atexit(on_exit) };
}

unsafe extern "C" {
    fn at_quick_exit(function: extern "C" fn()) -> libc::c_int;
}

extern "C" fn on_exit() {
    if DECLARED.load(Ordering::Relaxed) {
        // Destructors of modules come next, and the standard library has taken
        // this thread's stack for handlers away.
        std::mem::forget(HandlerStack::set());
    } else {
        end_unasked("exit");
    }
}

extern "C" fn on_quick_exit() {
    end_unasked("quick_exit");
}

fn end_unasked(by: &str) {
    if GUARDED.load(Ordering::Relaxed) != std::process::id() {
        return;
    }
    let mut line = Line::new();
    line.push(by);
    line.push(" was called");
    push_whereabouts(&mut line);
    line.push("; ends with 70");
    line.write();
    end_now(HELD_UP);
}
