//! The C library's own functions behind ours.

use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

/// A function of the next object that has one of this name.
pub(super) struct Real {
    name: &'static CStr,
    /// What a sanitizer's runtime, which is part of the executable, calls its
    /// own function of this name: it comes before the library's.
    sanitizers: Option<&'static CStr>,
    found: AtomicPtr<c_void>,
}

impl Real {
    pub(super) const fn new(name: &'static CStr) -> Self {
        Real { name, sanitizers: None, found: AtomicPtr::new(std::ptr::null_mut()) }
    }

    pub(super) const fn behind(name: &'static CStr, sanitizers: &'static CStr) -> Self {
        Real { name, sanitizers: Some(sanitizers), found: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Its address; null if no library has it. Looking a symbol up that is
    /// there neither allocates nor keeps a lock.
    pub(super) fn address(&self) -> *mut c_void {
        let found = self.found.load(Ordering::Relaxed);
        if !found.is_null() {
            return found;
        }
        let sanitizers = self.sanitizers.map_or(std::ptr::null_mut(), first);
        let found = match sanitizers.is_null() {
            // SAFETY: the name ends in NUL. "Next" is after this executable.
            true => unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) },
            false => sanitizers,
        };
        self.found.store(found, Ordering::Relaxed);
        found
    }
}

/// What a module finds under this name.
pub(super) fn first(name: &CStr) -> *mut c_void {
    // SAFETY: the name ends in NUL.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}
