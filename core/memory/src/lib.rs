//! The process's allocator and how it gives memory back.
//!
//! A leaf with `unsafe` in it: one call into the allocator's C interface.

/// The allocator for `#[global_allocator]`.
#[cfg(not(feature = "system-allocator"))]
pub use mimalloc::MiMalloc as Allocator;
/// The allocator for `#[global_allocator]`.
#[cfg(feature = "system-allocator")]
pub use std::alloc::System as Allocator;

/// Returns memory that the calling thread has freed to the system. For after
/// a peak: it costs up to milliseconds then, and a few microseconds when there
/// is nothing to return.
pub fn give_back() {
    #[cfg(not(feature = "system-allocator"))]
    // SAFETY: `mi_collect` may be called at any time from any thread; it
    // touches the calling thread's heap and what other threads abandoned.
    unsafe {
        libmimalloc_sys::mi_collect(true)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn may_be_called_with_live_and_freed_memory_around() {
        let kept: Vec<Vec<u8>> = (0..1000).map(|n| vec![n as u8; 4096]).collect();
        drop((0..1000).map(|_| vec![1_u8; 4096]).collect::<Vec<_>>());
        super::give_back();
        assert!(kept.iter().enumerate().all(|(n, bytes)| bytes.iter().all(|b| *b == n as u8)));
    }
}

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;
