//! What somebody waits for, handed over by somebody else on the same thread.

use std::cell::RefCell;
use std::task::{Context, Poll, Waker};

/// Room for one thing, and the task that waits for it.
#[derive(Debug)]
pub struct Handed<T> {
    thing: RefCell<Option<T>>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Handed<T> {
    /// Wakes who waits for it.
    pub fn hand(&self, thing: T) {
        self.thing.replace(Some(thing));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Ready when it is there.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<T> {
        match self.take() {
            Some(thing) => Poll::Ready(thing),
            None => {
                self.waker.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// What is there and was not fetched.
    pub fn take(&self) -> Option<T> {
        self.thing.take()
    }
}

impl<T> Default for Handed<T> {
    fn default() -> Self {
        Handed { thing: RefCell::new(None), waker: RefCell::new(None) }
    }
}
