//! Settings of a server that change while it runs.

use std::sync::{Arc, Mutex, PoisonError};

/// A value that is replaced as a whole. Clones share it.
#[derive(Debug)]
pub struct Slot<T>(Arc<Mutex<Arc<T>>>);

impl<T> Slot<T> {
    /// The value now.
    pub fn get(&self) -> Arc<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Requests that come from now on find this one.
    pub fn set(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

impl<T> From<T> for Slot<T> {
    fn from(value: T) -> Self {
        Slot(Arc::new(Mutex::new(Arc::new(value))))
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Slot(self.0.clone())
    }
}
