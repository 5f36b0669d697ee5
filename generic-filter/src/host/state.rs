//! Where a module's `export_state` writes to.

use std::cell::Cell;

use sidegate_abi::{GONE, LIMIT, Slice, StateOut};

use super::answer;
use super::arguments::bytes;
use super::scope::next_number;

/// What was written, up to a limit.
#[derive(Debug)]
pub(crate) struct StateSink {
    bytes: Vec<u8>,
    limit: usize,
    is_over: bool,
}

impl StateSink {
    pub(crate) fn new(limit: usize) -> Self {
        StateSink { bytes: Vec::new(), limit, is_over: false }
    }

    /// What was written; `None`: more than the limit.
    pub(crate) fn into_bytes(self) -> Option<Vec<u8>> {
        (!self.is_over).then_some(self.bytes)
    }

    fn write(&mut self, more: &[u8]) -> Result<(), u32> {
        if self.is_over || more.len() > self.limit - self.bytes.len() {
            self.is_over = true;
            self.bytes = Vec::new();
            return Err(LIMIT);
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }
}

thread_local! {
    /// The export that runs on this thread: its number and its sink.
    static CURRENT: Cell<(usize, *mut StateSink)> = const { Cell::new((0, std::ptr::null_mut())) };
}

/// Runs `export` with a number that stands for `sink` until it returns.
pub(crate) fn exporting<R>(sink: &mut StateSink, export: impl FnOnce(*mut StateOut) -> R) -> R {
    let number = next_number();
    let _restore = Restore(CURRENT.replace((number, std::ptr::from_mut(sink))));
    export(std::ptr::without_provenance_mut(number))
}

struct Restore((usize, *mut StateSink));

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

pub(super) unsafe extern "C" fn state_write(state: *mut StateOut, more: Slice) -> u32 {
    answer(|| {
        let (number, sink) = CURRENT.get();
        if number == 0 || number != state.addr() {
            return Err(GONE);
        }
        // SAFETY: the module lends it for the call.
        let more = unsafe { bytes(more) }?;
        // SAFETY: set by `exporting`, which has not returned and holds the only
        // borrow; this function calls nothing of the module.
        unsafe { &mut *sink }.write(more)
    })
}

#[cfg(test)]
mod tests {
    use sidegate_abi::{BAD_ARGUMENT, OK};

    use super::*;

    fn write(state: *mut StateOut, text: &[u8]) -> u32 {
        // SAFETY: the text is lent.
        unsafe { state_write(state, Slice::from_bytes(text)) }
    }

    #[test]
    fn only_the_running_export_writes_and_no_more_than_the_limit() {
        let mut sink = StateSink::new(5);
        let stale = exporting(&mut sink, |state| {
            assert_eq!([write(state, b"ab"), write(state, b""), write(state, b"cde")], [OK, OK, OK]);
            // SAFETY: refused before anything is read.
            assert_eq!(unsafe { state_write(state, Slice { ptr: std::ptr::null(), len: 1 }) }, BAD_ARGUMENT);
            let elsewhere = state.addr();
            let there = std::thread::spawn(move || write(std::ptr::without_provenance_mut(elsewhere), b"x"));
            assert_eq!(there.join().unwrap(), GONE);
            state
        });
        assert_eq!([write(stale, b"x"), write(std::ptr::null_mut(), b"x")], [GONE, GONE]);
        assert_eq!(sink.into_bytes().as_deref(), Some(&b"abcde"[..]));

        let mut sink = StateSink::new(5);
        exporting(&mut sink, |state| {
            assert_eq!([write(state, b"abc"), write(state, b"def"), write(state, b"g")], [OK, LIMIT, LIMIT]);
        });
        assert_eq!(sink.into_bytes(), None);
    }
}
