//! A value that is replaced while others use it.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// Holds a value that one thread swaps and any thread reads, once per
/// handshake. Neither waits for the other; who has read goes on with what it
/// has.
#[derive(Debug)]
pub struct Slot<T>(ArcSwap<T>);

/// By the values of now.
impl<T: PartialEq> PartialEq for Slot<T> {
    fn eq(&self, other: &Self) -> bool {
        *self.0.load() == *other.0.load()
    }
}

impl<T: Eq> Eq for Slot<T> {}

impl<T> Slot<T> {
    /// With its first value.
    pub fn new(value: Arc<T>) -> Self {
        Slot(ArcSwap::new(value))
    }

    /// The value of now.
    pub fn get(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Another value from now on; gives the one before.
    pub fn put(&self, value: Arc<T>) -> Arc<T> {
        self.0.swap(value)
    }

    /// Another value, unless it is no longer `before`: then somebody else was
    /// faster.
    pub(crate) fn replace(&self, before: &Arc<T>, value: Arc<T>) {
        self.0.compare_and_swap(before, value);
    }
}
