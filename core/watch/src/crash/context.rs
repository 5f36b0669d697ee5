//! Where the processor was.

use libc::c_void;

/// Registers that say something about a crash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// Address of the instruction.
    pub(super) instruction: usize,
}

/// # Safety
/// `context` is what a handler with SA_SIGINFO was given.
pub(super) unsafe fn of(context: *mut c_void) -> Option<Machine> {
    // SAFETY: by the caller's promise, if it is not null.
    let context = unsafe { context.cast::<libc::ucontext_t>().as_ref() }?;
    instruction(context).map(|instruction| Machine { instruction })
}

#[cfg(target_arch = "x86_64")]
fn instruction(context: &libc::ucontext_t) -> Option<usize> {
    usize::try_from(context.uc_mcontext.gregs[libc::REG_RIP as usize]).ok()
}

#[cfg(target_arch = "aarch64")]
fn instruction(context: &libc::ucontext_t) -> Option<usize> {
    usize::try_from(context.uc_mcontext.pc).ok()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn instruction(_: &libc::ucontext_t) -> Option<usize> {
    None
}
