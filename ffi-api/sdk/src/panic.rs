//! Panics stay inside the module.
//!
//! The module has its own panic hook: it notes message and location and makes
//! no backtrace, because symbolizing one keeps megabytes of debug data mapped
//! for every generation of a module that is reloaded.

use std::any::Any;
use std::cell::Cell;
use std::fmt::Write as _;
use std::panic::{self, AssertUnwindSafe, Location};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Once;

use crate::host::Host;
use crate::Level;

thread_local! {
    /// Where the running `guard` wants the message. Constant and without a
    /// destructor: a thread that entered the module then keeps nothing of it.
    static NOTE: Cell<*mut String> = const { Cell::new(ptr::null_mut()) };
}

/// Set by the in-memory host: panics of the test itself are then shown as
/// usual.
pub(crate) static IN_TESTS: AtomicBool = AtomicBool::new(false);

static INSTALLED: Once = Once::new();

/// Installs the module's panic hook, once. `host` gets the panics of threads
/// that the module started itself.
pub(crate) fn install(host: Host) {
    INSTALLED.call_once(|| {
        let outer = IN_TESTS.load(Ordering::Relaxed).then(panic::take_hook);
        panic::set_hook(Box::new(move |info| {
            let note = NOTE.try_with(Cell::get).unwrap_or(ptr::null_mut());
            if note.is_null() {
                match &outer {
                    Some(outer) => outer(info),
                    None => host.log(Level::Error, &describe(info.location(), info.payload())),
                }
                return;
            }
            // SAFETY: set by the `guard` that is on this thread's stack and
            // does not touch it until the panic is caught.
            unsafe { *note = describe(info.location(), info.payload()) };
        }));
    });
}

fn describe(location: Option<&Location<'_>>, payload: &(dyn Any + Send)) -> String {
    let mut text = String::from("panicked");
    if let Some(location) = location {
        let _ = write!(text, " at {location}");
    }
    let message = payload.downcast_ref::<&str>().copied();
    if let Some(message) = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str)) {
        let _ = write!(text, ": {message}");
    }
    text
}

/// Runs `call`; a panic becomes its message and location.
#[inline]
pub(crate) fn guard<R>(call: impl FnOnce() -> R) -> Result<R, String> {
    let mut note = String::new();
    let outer = NOTE.with(|slot| slot.replace(ptr::addr_of_mut!(note)));
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    NOTE.with(|slot| slot.set(outer));
    result.map_err(|payload| {
        // A payload's own destructor may panic too.
        if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        note
    })
}
