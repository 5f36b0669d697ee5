//! Threads that modules start: each is noted before it begins, and holds its
//! generation until it has run everything of the module's.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use libc::{pthread_attr_t, pthread_t};

use super::holds;
use super::is_own;
use super::real::Real;
use super::slots::SlotIndex;

type Routine = unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void;
type C11Routine = unsafe extern "C-unwind" fn(*mut c_void) -> c_int;
type Create = unsafe extern "C" fn(*mut pthread_t, *const pthread_attr_t, Routine, *mut c_void) -> c_int;
type C11Create = unsafe extern "C" fn(*mut pthread_t, C11Routine, *mut c_void) -> c_int;

static CREATE: Real = Real::behind(c"pthread_create", c"__interceptor_pthread_create");
static C11_CREATE: Real = Real::new(c"thrd_create");

/// Exported functions that call one of ours with the address they were called
/// from behind their own arguments. An address that a compiler left out by
/// jumping here is somebody else's; so it is never the only thing looked at.
macro_rules! with_caller {
    ($($(#[$doc:meta])* $name:ident => $to:ident, $place:ident argument;)*) => {
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            pub(crate) unsafe extern "C" fn $name() {
                $crate::interpose::threads::jump!($place, $to)
            }
        )*
    };
}
pub(super) use with_caller;

/// Puts the return address where the calling convention has the next argument.
macro_rules! jump {
    (second, $to:ident) => {
        $crate::interpose::threads::jump!("rsi", "x1", $to)
    };
    (third, $to:ident) => {
        $crate::interpose::threads::jump!("rdx", "x2", $to)
    };
    (fourth, $to:ident) => {
        $crate::interpose::threads::jump!("rcx", "x3", $to)
    };
    (fifth, $to:ident) => {
        $crate::interpose::threads::jump!("r8", "x4", $to)
    };
    ($x86:literal, $arm:literal, $to:ident) => {{
        #[cfg(target_arch = "x86_64")]
        core::arch::naked_asm!(concat!("mov ", $x86, ", [rsp]"), "jmp {}", sym $to);
        #[cfg(target_arch = "aarch64")]
        core::arch::naked_asm!(concat!("mov ", $arm, ", x30"), "b {}", sym $to);
    }};
}
pub(super) use jump;

with_caller! {
    /// # Safety
    /// As the C library's.
    pthread_create => create, fifth argument;
    /// # Safety
    /// As the C library's.
    thrd_create => c11_create, fourth argument;
}

/// What a module's thread begins with.
struct Start<R> {
    slot: SlotIndex,
    routine: R,
    argument: *mut c_void,
}

unsafe extern "C" fn create(
    thread: *mut pthread_t,
    attributes: *const pthread_attr_t,
    routine: Routine,
    argument: *mut c_void,
    caller: usize,
) -> c_int {
    let address = CREATE.address();
    if address.is_null() {
        return libc::EAGAIN;
    }
    // SAFETY: the C library's function of this name has this type.
    let real = unsafe { std::mem::transmute::<*mut c_void, Create>(address) };
    match starter(routine as *const () as usize, caller) {
        // SAFETY: arguments by the caller's promise.
        None => unsafe { real(thread, attributes, routine, argument) },
        Some(slot) => counted(slot, routine, argument, |start| {
            // SAFETY: as above; `begin` takes what it is given.
            unsafe { real(thread, attributes, begin, start) }
        }),
    }
}

unsafe extern "C" fn c11_create(
    thread: *mut pthread_t,
    routine: C11Routine,
    argument: *mut c_void,
    caller: usize,
) -> c_int {
    /// `thrd_error`
    const FAILED: c_int = 2;
    let address = C11_CREATE.address();
    if address.is_null() {
        return FAILED;
    }
    // SAFETY: the C library's function of this name has this type.
    let real = unsafe { std::mem::transmute::<*mut c_void, C11Create>(address) };
    match starter(routine as *const () as usize, caller) {
        // SAFETY: arguments by the caller's promise.
        None => unsafe { real(thread, routine, argument) },
        // SAFETY: as above; `c11_begin` takes what it is given.
        Some(slot) => counted(slot, routine, argument, |start| unsafe { real(thread, c11_begin, start) }),
    }
}

/// The generation that starts a thread: its code calls, or is to run, or it
/// has a library start the thread for it, as C++ does.
fn starter(routine: usize, caller: usize) -> Option<SlotIndex> {
    let by_address = SlotIndex::of(&[routine, caller]);
    by_address.or_else(|| if is_own(caller) { None } else { Inside::current().or_else(holds::own) })
}

fn counted<R>(slot: SlotIndex, routine: R, argument: *mut c_void, real: impl FnOnce(*mut c_void) -> c_int) -> c_int {
    // Before there is a thread: it may end before the call returns.
    slot.add_thread();
    slot.add_holder();
    let start = Box::into_raw(Box::new(Start { slot, routine, argument }));
    let result = real(start.cast());
    if result != 0 {
        // SAFETY: no thread has got it.
        drop(unsafe { Box::from_raw(start) });
        slot.remove_thread();
        slot.remove_holder();
    }
    result
}

/// First function of a module's thread. It has nothing to be dropped while the
/// module's code runs: `pthread_exit` and cancellation unwind through it.
unsafe extern "C-unwind" fn begin(start: *mut c_void) -> *mut c_void {
    // SAFETY: from `counted`, for this thread alone.
    let Start { slot, routine, argument } = *unsafe { Box::from_raw(start.cast::<Start<Routine>>()) };
    holds::hold_own(slot);
    // SAFETY: what the module asked for; it is held.
    unsafe { routine(argument) }
}

unsafe extern "C-unwind" fn c11_begin(start: *mut c_void) -> c_int {
    // SAFETY: from `counted`, for this thread alone.
    let Start { slot, routine, argument } = *unsafe { Box::from_raw(start.cast::<Start<C11Routine>>()) };
    holds::hold_own(slot);
    // SAFETY: what the module asked for; it is held.
    unsafe { routine(argument) }
}

thread_local! {
    static INSIDE: Cell<Option<SlotIndex>> = const { Cell::new(None) };
}

/// The calling thread is in a module until this is dropped.
#[derive(Debug)]
pub(crate) struct Inside(Option<SlotIndex>);

impl Inside {
    /// Enters the module with this slot.
    pub(crate) fn enter(slot: Option<SlotIndex>) -> Self {
        Inside(INSIDE.replace(slot))
    }

    fn current() -> Option<SlotIndex> {
        crate::host::current_slot().or_else(|| INSIDE.get())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.0);
    }
}
