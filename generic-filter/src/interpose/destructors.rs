//! `__cxa_thread_atexit_impl`: how C++, Rust and others have destructors of
//! thread-local objects called when a thread ends. C++ comes here by
//! `__cxa_thread_atexit` of its library.

use std::ffi::{c_int, c_void};

use super::holds;
use super::real::Real;
use super::slots::SlotIndex;

type DestructorFn = unsafe extern "C-unwind" fn(*mut c_void);
type Register = unsafe extern "C" fn(Option<DestructorFn>, *mut c_void, *mut c_void) -> c_int;

static REAL: Real = Real::new(c"__cxa_thread_atexit_impl");

/// # Safety
/// As the C library's: `destructor` may be called with `object` when the
/// thread ends, and `library` is of the object file that both belong to.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __cxa_thread_atexit_impl(
    destructor: Option<DestructorFn>,
    object: *mut c_void,
    library: *mut c_void,
) -> c_int {
    let code = destructor.map_or(0, |destructor| destructor as *const () as usize);
    match (SlotIndex::of(&[library.addr(), code]), destructor) {
        (Some(slot), Some(destructor)) => {
            holds::push(slot, (destructor, object));
            0
        }
        // SAFETY: passed on as it came.
        _ => unsafe { register(destructor, object, library) },
    }
}

/// Has `act` called when the calling thread ends.
pub(super) fn at_thread_exit(act: DestructorFn) {
    // SAFETY: a function of this executable, which stays.
    unsafe { register(Some(act), std::ptr::null_mut(), (&raw const REAL).cast_mut().cast()) };
}

/// # Safety
/// As [`__cxa_thread_atexit_impl`].
unsafe fn register(destructor: Option<DestructorFn>, object: *mut c_void, library: *mut c_void) -> c_int {
    let address = REAL.address();
    if address.is_null() {
        // As with a C library that has no such function: not called.
        return -1;
    }
    // SAFETY: the C library's function of this name has this type; arguments
    // by the caller's promise.
    unsafe { std::mem::transmute::<*mut c_void, Register>(address)(destructor, object, library) }
}
