//! Cells: in chunks that grow with what is defined, one copy of each chunk per
//! worker and one for all other threads.

use std::cell::Cell as ThreadCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Number of threads that are no worker.
const NO_WORKER: usize = usize::MAX;
/// Cells of a chunk: a page of memory.
pub(super) const CHUNK: usize = 512;

thread_local! {
    static WORKER: ThreadCell<usize> = const { ThreadCell::new(NO_WORKER) };
}

pub(super) fn enter_worker(index: usize) {
    WORKER.with(|worker| worker.set(index));
}

#[inline]
fn current_worker() -> usize {
    WORKER.with(ThreadCell::get)
}

/// One copy of a chunk. It appears when its first cell is touched; aligned so
/// that two workers never write to one cache line.
#[derive(Default)]
struct Copy(OnceLock<Box<Cells>>);

#[repr(align(128))]
struct Cells([AtomicU64; CHUNK]);

impl Copy {
    #[inline]
    fn cells(&self) -> &[AtomicU64; CHUNK] {
        &self.0.get_or_init(Cells::zeroed).0
    }

    fn peek(&self, at: usize) -> u64 {
        self.0.get().map_or(0, |cells| cells.0[at % CHUNK].load(Ordering::Relaxed))
    }

    fn clear(&self, cells: Range<usize>) {
        if let Some(copy) = self.0.get() {
            copy.0[cells].iter().for_each(|cell| cell.store(0, Ordering::Relaxed));
        }
    }
}

impl Cells {
    #[cold]
    fn zeroed() -> Box<Self> {
        Box::new(Cells([const { AtomicU64::new(0) }; CHUNK]))
    }
}

/// A chunk with all of its copies. Cheap to clone.
#[derive(Clone)]
pub(super) struct Chunk {
    /// By worker.
    workers: Arc<[Copy]>,
    shared: Arc<Copy>,
}

impl Chunk {
    pub(super) fn new(workers: usize) -> Self {
        Chunk { workers: (0..workers).map(|_| Copy::default()).collect(), shared: Arc::default() }
    }

    /// Adds to cells of the calling thread's copy: `at` with its count.
    #[inline]
    pub(super) fn add<const N: usize>(&self, counts: [(usize, u64); N]) {
        match self.workers.get(current_worker()) {
            Some(copy) => {
                let cells = copy.cells();
                for (at, count) in counts {
                    // Only this worker writes here, so load and store need no
                    // lock prefix.
                    let cell = &cells[at % CHUNK];
                    cell.store(cell.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
                }
            }
            None => counts.into_iter().for_each(|(at, count)| self.add_shared(at, count)),
        }
    }

    /// Adds to the copy of threads that are no worker, whoever calls.
    pub(super) fn add_shared(&self, at: usize, count: u64) {
        self.shared.cells()[at % CHUNK].fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn set_shared(&self, at: usize, value: u64) {
        self.shared.cells()[at % CHUNK].store(value, Ordering::Relaxed);
    }

    /// Over all copies.
    pub(super) fn sum(&self, at: usize) -> u64 {
        self.workers.iter().fold(self.shared.peek(at), |sum, copy| sum.wrapping_add(copy.peek(at)))
    }

    /// Sets cells to zero. Nobody may count there meanwhile.
    pub(super) fn clear(&self, cells: Range<usize>) {
        self.workers.iter().chain([&*self.shared]).for_each(|copy| copy.clear(cells.clone()));
    }
}

/// Gives out cells. A chunk is cut into slots of one length, and goes when none
/// of its slots is in use.
pub(super) struct Pool {
    workers: usize,
    most: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By length of their slots.
    classes: HashMap<usize, Class>,
    used: usize,
    next_chunk: u64,
}

/// Chunks with slots of one length.
#[derive(Default)]
struct Class {
    chunks: BTreeMap<u64, Sliced>,
    /// Those with a free slot. The oldest is filled first, so that the others
    /// become empty.
    with_room: BTreeSet<u64>,
}

struct Sliced {
    chunk: Chunk,
    /// Slots from here on were never in use.
    fresh: usize,
    /// Slots before that are free again.
    free: Vec<u16>,
}

/// Cells in use, zero at first; given back on drop.
pub(super) struct Slot {
    chunk: Chunk,
    number: u64,
    cells: Range<usize>,
    pool: Arc<Pool>,
}

impl Pool {
    /// For so many workers, of at most so many cells.
    pub(super) fn new(workers: usize, most: usize) -> Self {
        Pool { workers, most, inner: Mutex::default() }
    }

    /// `length` cells, which are 1 to [`CHUNK`]; `None` if that is too many.
    pub(super) fn take(self: &Arc<Self>, length: usize) -> Option<Slot> {
        let mut inner = self.inner();
        if length == 0 || length > CHUNK || self.most - inner.used < length {
            return None;
        }
        inner.used += length;
        let new_number = inner.next_chunk;
        let class = inner.classes.entry(length).or_default();
        let number = class.with_room.first().copied().unwrap_or(new_number);
        let sliced = class.chunks.entry(number).or_insert_with(|| {
            class.with_room.insert(number);
            Sliced { chunk: Chunk::new(self.workers), fresh: 0, free: Vec::new() }
        });
        let index = match sliced.free.pop() {
            Some(index) => usize::from(index),
            None => {
                sliced.fresh += 1;
                sliced.fresh - 1
            }
        };
        let chunk = sliced.chunk.clone();
        if sliced.is_full(length) {
            class.with_room.remove(&number);
        }
        if number == new_number {
            inner.next_chunk += 1;
        }
        let start = index * length;
        Some(Slot { chunk, number, cells: start..start + length, pool: self.clone() })
    }

    /// Cells in use.
    pub(super) fn used(&self) -> usize {
        self.inner().used
    }

    /// Chunks there are, each of which takes a page per worker that counts in
    /// it.
    #[cfg(test)]
    pub(super) fn chunks(&self) -> usize {
        self.inner().classes.values().map(|class| class.chunks.len()).sum()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sliced {
    fn is_full(&self, length: usize) -> bool {
        self.free.is_empty() && self.fresh == CHUNK / length
    }
}

impl Slot {
    pub(super) fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    /// The first of its cells in its chunk.
    pub(super) fn start(&self) -> usize {
        self.cells.start
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Nobody counts here any more: who could holds the slot.
        self.chunk.clear(self.cells.clone());
        let (length, number) = (self.cells.len(), self.number);
        let mut inner = self.pool.inner();
        inner.used -= length;
        let Some(class) = inner.classes.get_mut(&length) else { return };
        let Some(sliced) = class.chunks.get_mut(&number) else { return };
        // A chunk has no more than `CHUNK` slots.
        sliced.free.push((self.cells.start / length) as u16);
        let gone = (sliced.free.len() == sliced.fresh).then(|| {
            class.with_room.remove(&number);
            class.chunks.remove(&number)
        });
        if gone.is_none() {
            class.with_room.insert(number);
        } else if class.chunks.is_empty() {
            inner.classes.remove(&length);
        }
        drop(inner);
        // Freed without the lock, if nothing reads it.
        drop(gone);
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("chunk", &self.number).field("cells", &self.cells).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_zero_and_used_again_and_empty_chunks_go() {
        let pool = Arc::new(Pool::new(1, 100 * CHUNK));
        let slots: Vec<Slot> = (0..40).map(|_| pool.take(33).unwrap()).collect();
        assert_eq!((pool.used(), pool.chunks()), (40 * 33, 3));
        for (number, slot) in slots.iter().enumerate() {
            (0..33).for_each(|cell| slot.chunk().add_shared(slot.start() + cell, number as u64 + 1));
        }
        for (number, slot) in slots.iter().enumerate() {
            assert!((0..33).all(|cell| slot.chunk().sum(slot.start() + cell) == number as u64 + 1));
        }
        let kept = slots.into_iter().step_by(20).collect::<Vec<_>>();
        assert_eq!((pool.used(), pool.chunks()), (2 * 33, 2));
        let again: Vec<Slot> = (0..28).map(|_| pool.take(33).unwrap()).collect();
        assert_eq!(pool.chunks(), 2);
        assert!(again.iter().all(|slot| (0..33).all(|cell| slot.chunk().sum(slot.start() + cell) == 0)));
        drop((again, kept));
        assert_eq!((pool.used(), pool.chunks()), (0, 0));
    }

    #[test]
    fn there_is_a_bound() {
        let pool = Arc::new(Pool::new(0, 40));
        let slot = pool.take(33).unwrap();
        assert!(pool.take(8).is_none() && pool.take(7).is_some());
        drop(slot);
        assert!(pool.take(40).is_some());
        assert!(pool.take(0).is_none());
    }
}
