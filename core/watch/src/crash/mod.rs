//! One line about a crash, on the way to the default action of its signal.
//!
//! What runs in the handler reads atomics and tables that were filled before
//! and calls `write`, `prctl` and the like: it takes no lock, allocates
//! nothing, and asks neither the loader nor the log for anything.

mod context;
mod line;
mod loader;
pub(crate) mod objects;
pub(crate) mod stack;

use std::mem::{MaybeUninit, zeroed};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI32, Ordering};

use libc::{c_int, c_void, siginfo_t};

pub(crate) use self::line::{Line, push_whereabouts};
use crate::place::Hook;
use crate::thread::current;

const SIGNALS: [(c_int, &str); 5] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGABRT, "SIGABRT"),
];

/// Thread that is writing its line; a crash in the handler itself must not
/// come here again.
static REPORTING: AtomicI32 = AtomicI32::new(0);

/// Reports crashes of the whole process from now on.
pub(crate) fn install() {
    // A tool that reports crashes itself, such as AddressSanitizer, has its
    // handlers already; the standard library has one for two other signals.
    if has_handler(libc::SIGFPE) || has_handler(libc::SIGILL) {
        return;
    }
    loader::remember_first();
    objects::note_loaded(None);
    for (signal, _) in SIGNALS {
        // SAFETY: the action is filled before it is used, and the handler does
        // only what may be done in one.
        unsafe {
            let mut action = zeroed::<libc::sigaction>();
            action.sa_sigaction = on_crash as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(signal, &action, null_mut());
        }
    }
}

fn has_handler(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: only asks; zeroes are a valid action should it fail.
    let action = unsafe {
        libc::sigaction(signal, null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN
}

/// Writes the line, and lets the default action follow.
extern "C" fn on_crash(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: takes nothing.
    let thread = unsafe { libc::gettid() };
    if REPORTING.swap(thread, Ordering::Relaxed) != thread {
        // SAFETY: what the kernel passes to a handler with SA_SIGINFO.
        unsafe { report(signal, info, context) }.write();
    }
    // SAFETY: as in `install`; si_code is there for every signal, and a thread
    // may signal itself. Signals that no instruction has raised do not come
    // again by themselves.
    unsafe {
        let mut action = zeroed::<libc::sigaction>();
        action.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(signal, &action, null_mut());
        if (*info).si_code <= 0 {
            libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal);
        }
    }
}

/// # Safety
/// The arguments are those of a handler with SA_SIGINFO.
unsafe fn report(signal: c_int, info: *mut siginfo_t, context: *mut c_void) -> Line {
    let mut line = Line::new();
    line.push(SIGNALS.iter().find(|(known, _)| *known == signal).map_or("a signal", |(_, name)| name));
    // SAFETY: by the caller's promise.
    let (code, machine) = unsafe { ((*info).si_code, context::of(context)) };
    if code <= 0 {
        line.push(if signal == libc::SIGABRT { " (abort)" } else { " (sent)" });
    } else if signal == libc::SIGSEGV || signal == libc::SIGBUS {
        // SAFETY: both signals have an address if an instruction raised them.
        let address = unsafe { (*info).si_addr() }.addr();
        let overflow = current().is_some_and(|cell| cell.stack.guards(address));
        line.push(if overflow { " (stack overflow, address " } else { " (address " });
        line.push_hex(address);
        line.push(")");
    }
    push_whereabouts(&mut line);
    if let Some(machine) = machine {
        push_code_address(&mut line, machine.instruction);
    }
    line.push(", pid ");
    line.push_number(std::process::id().into());
    line
}

/// `, at NAME+0x12`: an address as tools want it that look at the file.
fn push_code_address(line: &mut Line, address: usize) {
    line.push(", at ");
    if let Some(object) = objects::around(address) {
        line.push_bytes(object.name.as_bytes());
        line.push("+");
        return line.push_hex(address - object.bias);
    }
    // While a module's initializers run, its file is mapped and not yet in the
    // table; the loader, which is at rest below us, has it.
    let loads = current().and_then(|cell| cell.at()).filter(|at| at.hook == Hook::Load);
    match loads.and_then(|at| Some((at.place, loader::bias_below(address)?))) {
        Some((place, bias)) => {
            line.push(place.module().unwrap_or("a module"));
            line.push("+");
            line.push_hex(address - bias);
        }
        None => line.push_hex(address),
    }
}
