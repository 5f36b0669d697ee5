//! A minimal init: for a process that a container starts as its first one.
//!
//! The kernel gives orphans to process 1, which has to reap them, and programs
//! that are made for MOSN take a parent of that number for one that is gone. So
//! process 1 does nothing but that, and its child is the process proper.

use std::io;
use std::process::ExitCode;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait};

/// What shells add to the number of a signal that ended a program.
const SIGNALLED: i32 = 128;

/// Whether this process is the first of its pid namespace.
pub fn is_init() -> bool {
    getpid().is_init()
}

/// Splits this process in two. In the child it returns `None`: that one goes on
/// as if nothing had been. The parent passes signals on to the child, reaps
/// whoever ends, and returns with what the child ended with; the end of process
/// 1 is the end of everybody in its namespace.
///
/// To be called before there is another thread, as `fork` takes none along; an
/// error says that there is one.
pub fn become_init() -> io::Result<Option<ExitCode>> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("there is more than one thread already"));
    }
    // Signals wait until somebody takes them; one to process 1 that has no
    // handler would be lost otherwise.
    let before = block_all()?;
    // SAFETY: there is no other thread, whose locks the child could miss.
    match unsafe { libc::fork() } {
        -1 => {
            let error = io::Error::last_os_error();
            restore(&before)?;
            Err(error)
        }
        0 => {
            // The init has nothing that could end it, but for SIGKILL.
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            restore(&before)?;
            Ok(None)
        }
        child => {
            let child = Pid::from_raw(child).ok_or_else(|| io::Error::other("no child"))?;
            Ok(Some(serve(child)))
        }
    }
}

/// Until `child` ends.
fn serve(child: Pid) -> ExitCode {
    loop {
        match next_signal() {
            Some(libc::SIGCHLD) => {
                if let Some(code) = reap(child) {
                    return code;
                }
            }
            // SAFETY: the number is one that `sigwaitinfo` gave.
            Some(signal) => drop(kill_process(child, unsafe { Signal::from_raw_unchecked(signal) })),
            None => {}
        }
    }
}

/// Takes note of everybody who has ended; the exit code, if one was `child`.
fn reap(child: Pid) -> Option<ExitCode> {
    let mut ended = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == child => ended = Some(status),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => break,
        }
    }
    ended.map(code)
}

fn code(status: WaitStatus) -> ExitCode {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => SIGNALLED + signal,
        (None, None) => 1,
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn block_all() -> io::Result<libc::sigset_t> {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are written by the calls before they are read.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        if libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(before.assume_init())
    }
}

fn restore(before: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: `before` is a set that the kernel gave.
    match unsafe { libc::sigprocmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits for a signal; all of them are blocked.
fn next_signal() -> Option<i32> {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is written before it is read, and nobody wants to know
    // more than the number.
    let signal = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::sigwaitinfo(all.as_ptr(), std::ptr::null_mut())
    };
    (signal > 0).then_some(signal)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn more_than_one_thread_is_refused() {
        // The harness of tests has one beside this.
        assert!(become_init().is_err());
        assert!(!is_init());
    }
}
