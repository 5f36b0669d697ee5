//! Lines that wait for a plugin.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::meters::{Loss, Meters};

/// Bytes in front of each line: its length.
const PREFIX: usize = size_of::<u32>();
const SHARDS: usize = 16;

/// Lines and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) lines: usize,
    pub(super) bytes: usize,
}

/// A bounded queue. What was taken out of it has its room in it until it is
/// [let go](Queue::let_go).
#[derive(Debug)]
pub(super) struct Queue {
    shards: Box<[Shard]>,
    bounds: Amount,
    /// Is worth a batch.
    batch: Amount,
    held: Counts,
    /// Not taken out yet.
    waiting: Counts,
    wake: Notify,
    pub(super) meters: Meters,
}

/// Aligned so that two workers' locks share no cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Vec<u8>>);

#[derive(Debug, Default)]
struct Counts {
    lines: AtomicUsize,
    bytes: AtomicUsize,
}

impl Counts {
    /// What it was before.
    fn add(&self, bytes: usize) -> Amount {
        let lines = self.lines.fetch_add(1, Ordering::Relaxed);
        Amount { lines, bytes: self.bytes.fetch_add(bytes, Ordering::Relaxed) }
    }

    fn sub(&self, amount: Amount) {
        self.lines.fetch_sub(amount.lines, Ordering::Relaxed);
        self.bytes.fetch_sub(amount.bytes, Ordering::Relaxed);
    }

    fn get(&self) -> Amount {
        Amount { lines: self.lines.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

impl Queue {
    pub(super) fn new(bounds: Amount, batch: Amount, meters: Meters) -> Self {
        Queue {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            bounds,
            batch,
            held: Counts::default(),
            waiting: Counts::default(),
            wake: Notify::new(),
            meters,
        }
    }

    /// Puts a line in, or counts it as lost. Never waits for the plugin.
    pub(super) fn push(&self, line: &[u8]) {
        let before = self.held.add(line.len());
        let (Some(bytes), Ok(length)) = (before.bytes.checked_add(line.len()), u32::try_from(line.len())) else {
            return self.lose(line);
        };
        if before.lines >= self.bounds.lines || bytes > self.bounds.bytes {
            return self.lose(line);
        }
        self.meters.waiting.add(1);
        // Counted before it is there: who takes it out finds it counted.
        let before = self.waiting.add(line.len());
        {
            let mut part = self.part();
            part.extend_from_slice(&length.to_le_bytes());
            part.extend_from_slice(line);
        }
        let fills = |before: usize, more: usize, full: usize| before < full && before.saturating_add(more) >= full;
        let is_full = fills(before.lines, 1, self.batch.lines) || fills(before.bytes, line.len(), self.batch.bytes);
        if before.lines == 0 || is_full {
            self.wake.notify_one();
        }
    }

    #[cold]
    fn lose(&self, line: &[u8]) {
        self.held.sub(Amount { lines: 1, bytes: line.len() });
        self.meters.lost(Loss::QueueFull, 1);
    }

    /// The calling thread's part, always the same: its lines stay in order.
    /// Held by others for a few instructions, or for the copy of one line.
    fn part(&self) -> MutexGuard<'_, Vec<u8>> {
        let own = thread_slot() % self.shards.len();
        self.shards[own].0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody has put anything into it that was not taken out.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.get().lines == 0
    }

    /// Whether there is enough for a batch.
    pub(super) fn has_batch(&self) -> bool {
        let waiting = self.waiting.get();
        waiting.lines >= self.batch.lines || waiting.bytes >= self.batch.bytes
    }

    /// Waits until it is not empty any more, or until there is a batch.
    pub(super) async fn stirred(&self) {
        self.wake.notified().await;
    }

    /// Takes out all lines, those of one thread in their order.
    pub(super) fn take(&self, mut each: impl FnMut(Bytes)) {
        for shard in &self.shards {
            let part = std::mem::take(&mut *shard.0.lock().unwrap_or_else(PoisonError::into_inner));
            let mut rest = Bytes::from(part);
            let mut taken = Amount { lines: 0, bytes: 0 };
            while let Some((prefix, _)) = rest.split_first_chunk::<PREFIX>() {
                let end = PREFIX + u32::from_le_bytes(*prefix) as usize;
                let line = rest.split_to(end.min(rest.len())).split_off(PREFIX);
                taken = Amount { lines: taken.lines + 1, bytes: taken.bytes + line.len() };
                each(line);
            }
            self.waiting.sub(taken);
        }
    }

    /// Gives room back.
    pub(super) fn let_go(&self, amount: Amount) {
        self.held.sub(amount);
        self.meters.waiting.add(-i64::try_from(amount.lines).unwrap_or(i64::MAX));
    }
}

/// A small number that tells threads apart, so that workers start at different
/// parts. It is only a hint: sharing a part is correct.
fn thread_slot() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SLOT: Cell<Option<usize>> = const { Cell::new(None) };
    }
    SLOT.with(|slot| {
        slot.get().unwrap_or_else(|| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            slot.set(Some(number));
            number
        })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use sidegate_api::Metrics;

    use super::*;

    fn queue(lines: usize, bytes: usize) -> Queue {
        let meters = Meters::new(&Metrics::new(1), "p", "l").unwrap();
        Queue::new(Amount { lines, bytes }, Amount { lines: 10, bytes: 1000 }, meters)
    }

    fn all(queue: &Queue) -> Vec<Bytes> {
        let mut all = Vec::new();
        queue.take(|line| all.push(line));
        all
    }

    #[test]
    fn both_bounds_are_exact_and_room_comes_back() {
        let queue = queue(3, 10);
        for line in ["abcd", "", "efghij"] {
            queue.push(line.as_bytes());
        }
        // No line more.
        queue.push(b"");
        assert_eq!((all(&queue), queue.meters.total()), (vec!["abcd".into(), "".into(), "efghij".into()], 1));
        // What was taken out is on its way and has its room still.
        queue.push(b"");
        assert_eq!((all(&queue), queue.meters.total()), (vec![], 2));
        queue.let_go(Amount { lines: 2, bytes: 4 });
        // No byte more.
        queue.push(b"12345");
        queue.push(b"1234");
        assert_eq!((all(&queue), queue.meters.total()), (vec![Bytes::from("1234")], 3));
        assert_eq!(queue.meters.waiting.get(), 2);
        queue.let_go(Amount { lines: 2, bytes: 10 });
        assert_eq!((queue.held.get(), queue.meters.waiting.get()), (Amount { lines: 0, bytes: 0 }, 0));
    }

    #[test]
    fn lines_of_each_thread_come_in_order_and_none_is_lost() {
        const THREADS: usize = 4;
        const LINES: usize = 5000;
        let queue = Arc::new(queue(THREADS * LINES, 1 << 20));
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let queue = queue.clone();
                thread::spawn(move || (0..LINES).for_each(|at| queue.push(format!("{thread} {at}").as_bytes())))
            })
            .collect();
        let mut found = Vec::new();
        while threads.iter().any(|thread| !thread.is_finished()) {
            found.extend(all(&queue));
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        found.extend(all(&queue));
        assert!(queue.is_empty() && !queue.has_batch());
        assert_eq!((found.len(), queue.meters.total()), (THREADS * LINES, 0));
        let mut next = [0; THREADS];
        for line in found {
            let line = String::from_utf8(line.to_vec()).unwrap();
            let (thread, at) = line.split_once(' ').unwrap();
            let next = &mut next[thread.parse::<usize>().unwrap()];
            assert_eq!(at.parse(), Ok(*next), "of thread {thread}");
            *next += 1;
        }
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_the_first_line_and_by_a_batch() {
        let queue = queue(100, 10_000);
        queue.push(b"a");
        queue.stirred().await;
        assert!(!queue.is_empty() && !queue.has_batch());
        for _ in 0..9 {
            queue.push(b"a");
        }
        queue.stirred().await;
        assert!(queue.has_batch());
        assert_eq!(all(&queue).len(), 10);
        queue.push(&[b'a'; 1000]);
        assert!(queue.has_batch());
    }
}
