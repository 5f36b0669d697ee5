//! The stream that a hook may work on: valid while that hook runs, and
//! recognized as stale ever after.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};

use sidegate_abi as abi;
use sidegate_api::{EditError, FilterCx, RefusedReply};

use super::edit_result;
use super::plugin::Calls;
use crate::factory::FactoryCore;
use crate::interpose::SlotIndex;

/// What host functions need while a hook runs. Only shared references to it
/// exist.
pub(crate) struct HostStream<'h> {
    /// Borrowed exclusively for the time of the hook; each host function
    /// borrows it for itself, and none runs within another but from a header
    /// visitor, during which it is not borrowed.
    cx: *mut FilterCx<'h>,
    pub(crate) core: &'h FactoryCore,
    /// The filter's calls of plugins.
    pub(super) calls: RefCell<&'h mut Calls>,
    /// What the module said about a fault.
    pub(crate) fault: RefCell<Option<String>>,
    /// The last call that changes something and was refused, for the log of a
    /// fault that may come of it.
    pub(crate) refused: RefCell<Option<String>>,
    /// Visits of header maps that are going on.
    pub(super) visits: Cell<u32>,
}

thread_local! {
    /// The hook that runs on this thread: its number and its stream.
    static CURRENT: Cell<(usize, *const HostStream<'static>)> = const { Cell::new((0, std::ptr::null())) };
    /// Number of the last hook on this thread.
    static LAST: Cell<usize> = const { Cell::new(0) };
}

/// Runs `hook` with a number that stands for `cx` until it returns. The number
/// looks like a pointer and is none, so a module that keeps it can reach
/// nothing with it later.
pub(crate) fn enter<R>(
    cx: &mut FilterCx<'_>,
    core: &FactoryCore,
    calls: &mut Calls,
    hook: impl FnOnce(*mut abi::Stream, &HostStream<'_>) -> R,
) -> R {
    let stream = HostStream {
        cx: std::ptr::from_mut(cx).cast::<FilterCx<'_>>(),
        core,
        calls: RefCell::new(calls),
        fault: RefCell::new(None),
        refused: RefCell::new(None),
        visits: Cell::new(0),
    };
    let number = next_number();
    let _restore = Restore(CURRENT.replace((number, std::ptr::from_ref(&stream).cast())));
    hook(std::ptr::without_provenance_mut(number), &stream)
}

/// Slot of the module whose hook runs on this thread.
pub(crate) fn current_slot() -> Option<SlotIndex> {
    let (_, current) = CURRENT.get();
    // SAFETY: as in `with`.
    unsafe { current.as_ref() }.and_then(|host| host.core.module.slot())
}

/// Puts back what was current, also if the hook's caller panics.
struct Restore((usize, *const HostStream<'static>));

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Never 0 and never the same on two threads: 20 bits thread, 44 bits count.
pub(super) fn next_number() -> usize {
    const COUNT_BITS: u32 = 44;
    static THREADS: AtomicUsize = AtomicUsize::new(1);
    let mut last = LAST.get();
    if last == 0 {
        last = THREADS.fetch_add(1, Ordering::Relaxed) << COUNT_BITS;
    }
    let mask = (1 << COUNT_BITS) - 1;
    let number = (last & !mask) | ((last + 1) & mask);
    LAST.set(number);
    number
}

/// Calls `act` with the running hook's stream, if `stream` is its number.
pub(super) fn with<R>(stream: *mut abi::Stream, act: impl FnOnce(&HostStream<'_>) -> Result<R, u32>) -> Result<R, u32> {
    if stream.is_null() {
        return Err(abi::BAD_ARGUMENT);
    }
    let (number, current) = CURRENT.get();
    if number != stream.addr() {
        return Err(abi::GONE);
    }
    // SAFETY: set by `enter`, which has not returned as it would have restored
    // what was before; the object is on its stack and only shared.
    act(unsafe { &*current })
}

/// Calls `act` with the running hook's view of the stream.
pub(super) fn with_cx<R>(
    stream: *mut abi::Stream,
    act: impl FnOnce(&mut FilterCx<'_>) -> Result<R, u32>,
) -> Result<R, u32> {
    with(stream, |host| host.with_cx(act))
}

/// The same for what changes header maps, which must not happen under a visit.
pub(super) fn edit(
    stream: *mut abi::Stream,
    call: &str,
    what: impl FnOnce() -> String,
    act: impl FnOnce(&mut FilterCx<'_>) -> Result<(), EditError>,
) -> Result<(), u32> {
    with(stream, |host| if host.visits.get() > 0 { Err(abi::NOT_NOW) } else { host.noted(call, what, act) })
}

/// Calls `act`, which changes `what` of the stream, and notes if that was
/// refused to `call`. Values are not noted: they may be secret.
pub(super) fn noted(
    stream: *mut abi::Stream,
    call: &str,
    what: impl FnOnce() -> String,
    act: impl FnOnce(&mut FilterCx<'_>) -> Result<(), EditError>,
) -> Result<(), u32> {
    with(stream, |host| host.noted(call, what, act))
}

/// A name for the log.
pub(super) fn shown(name: &[u8]) -> String {
    const SHOWN: usize = 64;
    name.get(..SHOWN).unwrap_or(name).escape_ascii().to_string()
}

/// Notes for the hook that runs on this thread, if one does, that a reply of
/// its was not taken.
#[cold]
pub(super) fn refuse(refused: RefusedReply) {
    let (_, current) = CURRENT.get();
    if !current.is_null() {
        // SAFETY: as in `with`.
        unsafe { &*current }.with_cx(|cx| cx.refuse_reply(refused));
    }
}

impl HostStream<'_> {
    /// What the log says of a fault: the module's words, and what was refused
    /// to it last.
    pub(crate) fn said(&self) -> Option<String> {
        match (self.fault.take(), self.refused.take()) {
            (said, None) => said,
            (said, Some(refused)) => {
                let said = said.as_deref().unwrap_or("it gave no reason");
                Some(format!("{said} (the last call that was refused: {refused})"))
            }
        }
    }

    fn noted(
        &self,
        call: &str,
        what: impl FnOnce() -> String,
        act: impl FnOnce(&mut FilterCx<'_>) -> Result<(), EditError>,
    ) -> Result<(), u32> {
        self.with_cx(act).map_err(|error| {
            *self.refused.borrow_mut() = Some(format!("`{call}` of `{}`: {error}", what()));
            edit_result(error)
        })
    }

    /// Borrows the view of the stream. `act` must not call into the module.
    pub(super) fn with_cx<R>(&self, act: impl FnOnce(&mut FilterCx<'_>) -> R) -> R {
        // SAFETY: `enter` holds the exclusive borrow this came from. Host
        // functions run one after the other on this thread, and those that
        // call the module back do so outside of `act`.
        act(unsafe { &mut *self.cx })
    }
}
