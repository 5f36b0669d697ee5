//! Functions of the C library that this executable offers to modules in the
//! library's place, so that what a module leaves behind on a thread can be
//! taken back before the module is unmapped.
//!
//! Left alone, a thread-local destructor keeps its module mapped until that
//! thread ends, a key's destructor is called where the module was, and nobody
//! knows which threads run a module's code. So calls that come from a module
//! are noted for its generation:
//!
//! - [`destructors`]: thread-local destructors, kept in a list of the thread;
//! - [`keys`]: the owner of each key of thread-specific values;
//! - [`threads`]: threads that a module starts, counted until they end.
//!
//! All other calls go on to the C library. A generation has a [`Slot`]; a
//! thread that has to do something before the slot's code may go *holds* it.
//!
//! The linker is told to export the functions (`build.rs`), as an executable
//! exports nothing by itself. They work before `main`, take no lock on a way
//! that a signal handler or a forked child could be on, and allocate where the
//! C library's own do.

mod destructors;
mod holds;
mod keys;
mod real;
mod slots;
mod threads;

pub(crate) use holds::{forget, hold, leave};
pub(crate) use slots::{Slot, SlotIndex};
pub(crate) use threads::Inside;

use std::sync::OnceLock;

/// The functions that have to be seen from outside of the executable.
pub(crate) fn exported() -> [(&'static std::ffi::CStr, *const ()); 8] {
    [
        (c"__cxa_thread_atexit_impl", destructors::__cxa_thread_atexit_impl as *const ()),
        (c"pthread_key_create", keys::pthread_key_create as *const ()),
        (c"__pthread_key_create", keys::__pthread_key_create as *const ()),
        (c"pthread_key_delete", keys::pthread_key_delete as *const ()),
        (c"tss_create", keys::tss_create as *const ()),
        (c"tss_delete", keys::tss_delete as *const ()),
        (c"pthread_create", threads::pthread_create as *const ()),
        (c"thrd_create", threads::thrd_create as *const ()),
    ]
}

/// Whether modules get our functions: not in an executable that was linked
/// without exporting them.
pub(crate) fn is_active() -> bool {
    static ACTIVE: OnceLock<bool> = OnceLock::new();
    *ACTIVE.get_or_init(|| exported().into_iter().all(|(name, ours)| real::first(name).cast_const().cast() == ours))
}

/// Whether the code at `address` is this executable's own.
fn is_own(address: usize) -> bool {
    static OWN: OnceLock<std::ops::Range<usize>> = OnceLock::new();
    let own = OWN.get_or_init(|| {
        let here = is_own as *const () as usize;
        slots::object_around(here).map_or(here..here + 1, |(_, range)| range)
    });
    own.contains(&address)
}
