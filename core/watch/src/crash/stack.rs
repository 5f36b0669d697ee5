//! Stacks: the one that a thread has, to know an overflow, and another one for
//! handlers, which an overflow leaves nothing of the first.

use std::mem::zeroed;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where a thread's stack ends; it grows towards lower addresses.
#[derive(Debug, Default)]
pub(crate) struct StackEnd(AtomicUsize);

/// An access this close to the end is an overflow: guard pages are small, but
/// one step may be larger than a page.
const NEAR: usize = 64 * 1024;

impl StackEnd {
    /// Takes note of the calling thread's.
    pub(crate) fn note(&self) {
        // SAFETY: attributes are filled before they are read and destroyed
        // once.
        unsafe {
            let mut attributes = zeroed::<libc::pthread_attr_t>();
            if libc::pthread_getattr_np(libc::pthread_self(), &mut attributes) != 0 {
                return;
            }
            let (mut end, mut size) = (null_mut(), 0);
            if libc::pthread_attr_getstack(&attributes, &mut end, &mut size) == 0 {
                self.0.store(end.addr(), Ordering::Relaxed);
            }
            libc::pthread_attr_destroy(&mut attributes);
        }
    }

    /// Whether an access to `address` means that the stack was too small.
    pub(crate) fn guards(&self, address: usize) -> bool {
        let end = self.0.load(Ordering::Relaxed);
        end != 0 && address.abs_diff(end) <= NEAR
    }
}

/// A stack for handlers on this thread, until it is dropped there.
#[derive(Debug)]
pub(crate) struct HandlerStack(*mut libc::c_void);

/// Room for the registers of any processor, and for a line. The standard
/// library's own is a fraction of it.
const SIZE: usize = 64 * 1024;

impl HandlerStack {
    /// `None`: there is no memory, and what was there stays.
    pub(crate) fn set() -> Option<Self> {
        // SAFETY: a new mapping at a place the kernel chooses; the stack stays
        // mapped for as long as it is set.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let memory = libc::mmap(null_mut(), SIZE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            if memory == libc::MAP_FAILED {
                return None;
            }
            let mut stack = zeroed::<libc::stack_t>();
            stack.ss_sp = memory;
            stack.ss_size = SIZE;
            libc::sigaltstack(&stack, null_mut());
            Some(HandlerStack(memory))
        }
    }
}

impl Drop for HandlerStack {
    fn drop(&mut self) {
        // SAFETY: on the thread that set it, as it cannot be sent; no handler
        // runs on it, as those end with the process. Whatever else is set by
        // now is left alone.
        unsafe {
            let mut now = zeroed::<libc::stack_t>();
            libc::sigaltstack(std::ptr::null(), &mut now);
            if now.ss_sp == self.0 {
                let mut none = zeroed::<libc::stack_t>();
                none.ss_flags = libc::SS_DISABLE;
                libc::sigaltstack(&none, null_mut());
            }
            libc::munmap(self.0, SIZE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_stack_is_below_what_is_on_it() {
        let on_stack = 0_u8;
        let end = StackEnd::default();
        assert!(!end.guards(std::ptr::from_ref(&on_stack).addr()));
        end.note();
        assert!(!end.guards(std::ptr::from_ref(&on_stack).addr()));
        let lowest = end.0.load(Ordering::Relaxed);
        assert!(lowest < std::ptr::from_ref(&on_stack).addr());
        assert!(end.guards(lowest - 8) && !end.guards(8));
    }
}
