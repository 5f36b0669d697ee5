//! Those who wait for a connection of a cluster that has all it may have.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::breakers::{Permit, Used};

/// First come, first served, over all workers. Its lock is taken where a
/// connection waits or closes at the limit, never by a request that has one.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Length of `entries`, to be read without the lock.
    waiting: AtomicU32,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    list: VecDeque<Entry>,
    /// Number of the next one.
    next: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    /// Of the snapshot that it belongs to.
    limit: u32,
    grant: oneshot::Sender<Permit>,
}

/// A place in the queue; given up on drop.
#[derive(Debug)]
#[must_use = "dropping it gives the place up"]
pub struct Place {
    used: Arc<Used>,
    number: u64,
    granted: oneshot::Receiver<Permit>,
}

impl Queue {
    /// How many wait.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        // Sequentially consistent, as is what is taken and given back: either
        // who gives back sees who waits, or who waits sees what is given back.
        self.waiting.load(Ordering::SeqCst)
    }

    /// A connection's permit, or a place behind those who wait already.
    pub(crate) fn join_unless_free(used: &Arc<Used>, limit: u32) -> Result<Permit, Place> {
        if used.queue.len() == 0
            && let Some(permit) = Used::take_connection(used, limit)
        {
            return Ok(permit);
        }
        Self::join(used, limit)
    }

    #[cold]
    fn join(used: &Arc<Used>, limit: u32) -> Result<Permit, Place> {
        let queue = &used.queue;
        let mut entries = queue.entries();
        queue.waiting.fetch_add(1, Ordering::SeqCst);
        // Whoever is in front goes first.
        if entries.list.is_empty()
            && let Some(permit) = Used::take_connection(used, limit)
        {
            queue.waiting.fetch_sub(1, Ordering::SeqCst);
            return Ok(permit);
        }
        let (grant, granted) = oneshot::channel();
        let number = entries.next;
        entries.next += 1;
        entries.list.push_back(Entry { number, limit, grant });
        drop(entries);
        Err(Place { used: used.clone(), number, granted })
    }

    /// Gives what is free to those who wait.
    #[cold]
    pub(crate) fn serve(used: &Arc<Used>) {
        let queue = &used.queue;
        let mut entries = queue.entries();
        let mut left = None;
        while let Some(entry) = entries.list.pop_front() {
            let Some(permit) = left.take().or_else(|| Used::take_connection(used, entry.limit)) else {
                entries.list.push_front(entry);
                break;
            };
            queue.waiting.fetch_sub(1, Ordering::SeqCst);
            left = entry.grant.send(permit).err();
        }
        drop(entries);
        // Not under the lock: giving back serves again.
        drop(left);
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Ready with a connection's permit when it is this one's turn.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Permit> {
        match Pin::new(&mut self.granted).poll(cx) {
            Poll::Ready(Ok(permit)) => Poll::Ready(permit),
            // The sender lives in the queue until it sends.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let queue = &self.used.queue;
        let mut entries = queue.entries();
        if let Some(at) = entries.list.iter().position(|entry| entry.number == self.number) {
            entries.list.remove(at);
            queue.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
