//! What the calling thread holds: generations whose code it has run, with the
//! destructors that wait on this thread.
//!
//! Each thread touches its own list only, so there is no lock. A destructor
//! may register another one: nothing of the list is borrowed while code of a
//! module runs.

use std::cell::Cell;
use std::ffi::c_void;

use super::slots::SlotIndex;
use super::{destructors, keys};

/// A thread-local destructor and its object.
pub(super) type Destructor = (unsafe extern "C-unwind" fn(*mut c_void), *mut c_void);

struct Held {
    slot: SlotIndex,
    /// The module started this thread.
    own: bool,
    destructors: Vec<Destructor>,
}

thread_local! {
    /// Constant and without a destructor of Rust's, which would be registered
    /// through the function that uses it.
    static HELD: Cell<*mut Vec<Held>> = const { Cell::new(std::ptr::null_mut()) };
    /// Whether the C library will call `on_thread_exit`.
    static EXIT_SEEN: Cell<bool> = const { Cell::new(false) };
}

/// Destructors and values that make new ones are given up after this many
/// rounds, as the C library does with keys.
const ROUNDS: usize = 8;

/// Calls `act` with this thread's list. `act` must not run foreign code.
fn with<R>(act: impl FnOnce(&mut Vec<Held>) -> R) -> R {
    let mut list = HELD.get();
    if list.is_null() {
        list = Box::into_raw(Box::default());
        HELD.set(list);
    }
    // SAFETY: made above or before on this thread and freed only when it ends,
    // with the pointer to it; nobody else has it, and no call of this function
    // is within another.
    act(unsafe { &mut *list })
}

fn holds_any() -> bool {
    !HELD.get().is_null()
}

/// This thread holds `slot` until it leaves it or ends.
pub(crate) fn hold(slot: SlotIndex) {
    note(slot, false, |_| ());
}

/// The module started this thread, which was counted before it ran.
pub(super) fn hold_own(slot: SlotIndex) {
    note(slot, true, |_| ());
}

/// A destructor of `slot` waits on this thread.
pub(super) fn push(slot: SlotIndex, destructor: Destructor) {
    note(slot, false, |held| held.destructors.push(destructor));
}

fn note(slot: SlotIndex, own: bool, act: impl FnOnce(&mut Held)) {
    with(|list| {
        let known = list.iter().position(|held| held.slot == slot);
        let at = known.unwrap_or_else(|| {
            if !own {
                slot.add_holder();
            }
            list.push(Held { slot, own, destructors: Vec::new() });
            list.len() - 1
        });
        act(&mut list[at]);
    });
    if !EXIT_SEEN.replace(true) {
        destructors::at_thread_exit(on_thread_exit);
    }
}

/// The generation that started this thread.
pub(super) fn own() -> Option<SlotIndex> {
    holds_any().then(|| with(|list| list.iter().find(|held| held.own).map(|held| held.slot))).flatten()
}

/// Runs everything that waits on this thread for `slot`, and lets it go.
pub(crate) fn leave(slot: SlotIndex) {
    if !holds_any() || !with(|list| list.iter().any(|held| held.slot == slot && !held.own)) {
        return;
    }
    run_out(slot);
    forget(slot);
}

/// Forgets what waits on this thread for `slot` without running it: the code
/// is gone.
pub(crate) fn forget(slot: SlotIndex) {
    if !holds_any() {
        return;
    }
    let gone = with(|list| {
        let at = list.iter().position(|held| held.slot == slot)?;
        Some(list.swap_remove(at))
    });
    if let Some(held) = gone {
        if held.own {
            slot.remove_thread();
        }
        slot.remove_holder();
    }
}

/// The module's own word, then destructors, last first, and values of keys,
/// until there are none.
fn run_out(slot: SlotIndex) {
    let own = with(|list| list.iter().any(|held| held.slot == slot && held.own));
    if let Some(detach) = slot.detach().filter(|_| !own) {
        // SAFETY: the module's function, which takes nothing, on a thread that
        // has entered it; the slot is held, so it is mapped.
        unsafe { detach() };
    }
    for _ in 0..ROUNDS {
        let mut ran = false;
        while let Some((destructor, object)) = pop(slot) {
            // SAFETY: registered by the module for this thread and not run
            // before; the slot is held.
            unsafe { destructor(object) };
            ran = true;
        }
        if !keys::run_destructors(slot) && !ran {
            break;
        }
    }
}

fn pop(slot: SlotIndex) -> Option<Destructor> {
    with(|list| list.iter_mut().find(|held| held.slot == slot)?.destructors.pop())
}

/// The thread ends: nothing of a module runs on it after this.
unsafe extern "C-unwind" fn on_thread_exit(_: *mut c_void) {
    // What registers from now on is called once more.
    EXIT_SEEN.set(false);
    while let Some(slot) = with(|list| list.last().map(|held| held.slot)) {
        run_out(slot);
        forget(slot);
    }
    let list = HELD.replace(std::ptr::null_mut());
    if !list.is_null() {
        // SAFETY: made by `with` on this thread, and no pointer to it is left.
        drop(unsafe { Box::from_raw(list) });
    }
}
