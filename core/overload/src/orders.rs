//! What the manager wants of one worker.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::ListenerId;

/// Orders that wait for a worker. Given again before they were taken, they
/// merge.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Orders {
    settle: AtomicBool,
    close_idle: AtomicU8,
    /// One more than the number of a listener; the last one that asked.
    close_idle_of: AtomicU64,
    shrink: AtomicBool,
    reset_bytes: AtomicU64,
    given: Notify,
    /// Bytes that the worker's heavy streams hold.
    pub(crate) heavy_bytes: AtomicU64,
}

/// One order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Limits have changed: give back what is in hand of them unused.
    Settle,
    /// Close so many of a hundred idle connections, oldest first, on both
    /// sides.
    CloseIdle(u8),
    /// Close some idle connections of this listener, oldest first.
    CloseIdleOf(ListenerId),
    /// Give back what is kept for speed.
    Shrink,
    /// Reset the heaviest streams until so many bytes are free.
    Reset(u64),
}

impl Orders {
    pub(crate) fn give(&self, order: Order) {
        match order {
            Order::Settle => self.settle.store(true, Ordering::Relaxed),
            Order::CloseIdle(percent) => self.close_idle.store(percent, Ordering::Relaxed),
            Order::CloseIdleOf(listener) => {
                self.close_idle_of.store(u64::from(listener.0) + 1, Ordering::Relaxed);
            }
            Order::Shrink => self.shrink.store(true, Ordering::Relaxed),
            Order::Reset(bytes) => self.reset_bytes.store(bytes, Ordering::Relaxed),
        }
        self.given.notify_one();
    }

    /// Waits for orders and takes those that are there: what changed limits ask for
    /// first, which takes no time, then resets, which free most.
    pub(crate) async fn taken(&self) -> Vec<Order> {
        loop {
            self.given.notified().await;
            let settle = self.settle.swap(false, Ordering::Relaxed).then_some(Order::Settle);
            let reset = Some(self.reset_bytes.swap(0, Ordering::Relaxed)).filter(|bytes| *bytes > 0);
            let close = Some(self.close_idle.swap(0, Ordering::Relaxed)).filter(|percent| *percent > 0);
            let close_of = self.close_idle_of.swap(0, Ordering::Relaxed).checked_sub(1);
            let close_of = close_of.and_then(|id| u32::try_from(id).ok()).map(|id| Order::CloseIdleOf(ListenerId(id)));
            let shrink = self.shrink.swap(false, Ordering::Relaxed).then_some(Order::Shrink);
            let close = close.map(Order::CloseIdle).into_iter().chain(close_of);
            let reset = reset.map(Order::Reset);
            let orders: Vec<Order> = settle.into_iter().chain(reset).chain(close).chain(shrink).collect();
            if !orders.is_empty() {
                return orders;
            }
        }
    }
}
