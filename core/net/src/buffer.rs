//! Read buffers, borrowed from a worker's pool while a connection is active.

use std::cell::RefCell;
use std::rc::Rc;

/// Free read buffers of one worker. An idle connection holds none.
#[derive(Debug, Clone)]
pub struct BufferPool(Rc<Pool>);

#[derive(Debug)]
struct Pool {
    size: usize,
    keep: usize,
    free: RefCell<Vec<Vec<u8>>>,
}

impl BufferPool {
    /// A pool of buffers of `size` bytes that keeps up to `keep` free ones.
    pub fn new(size: usize, keep: usize) -> Self {
        BufferPool(Rc::new(Pool { size, keep, free: RefCell::default() }))
    }

    /// Frees the free buffers.
    pub fn clear(&self) {
        self.0.free.take();
    }

    fn take(&self) -> Vec<u8> {
        self.0.free.borrow_mut().pop().unwrap_or_else(|| vec![0; self.0.size])
    }

    fn give(&self, bytes: Vec<u8>) {
        let mut free = self.0.free.borrow_mut();
        if bytes.len() == self.0.size && free.len() < self.0.keep {
            free.push(bytes);
        }
    }
}

/// Bytes that were read and not yet used, in front of room for more. Memory is
/// taken from the pool on the first read and given back when it is empty and
/// released.
#[derive(Debug)]
pub struct ReadBuffer {
    pool: BufferPool,
    /// Empty while nothing is borrowed; initialized over its whole length.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    /// A buffer without memory.
    pub fn new(pool: BufferPool) -> Self {
        ReadBuffer { pool, bytes: Vec::new(), start: 0, end: 0 }
    }

    /// Bytes read and not consumed.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The same, to be changed in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Takes the bytes from `from` up to `to` out of them; those behind move
    /// up.
    pub fn cut(&mut self, from: usize, to: usize) {
        let (from, to) = ((self.start + from).min(self.end), (self.start + to).min(self.end));
        if from < to {
            self.bytes.copy_within(to..self.end, from);
            self.end -= to - from;
        }
    }

    /// Number of such bytes.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether memory is borrowed at the moment.
    pub fn has_memory(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Forgets the first `count` bytes (at most all).
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Room to read into, at least one byte: borrows memory if there is none,
    /// moves the bytes to the front, and grows up to `max` bytes in all if
    /// they fill it. Empty if they are `max` or more.
    pub fn room(&mut self, max: usize) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = self.pool.take();
        }
        if self.end == self.bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.bytes.len() && self.bytes.len() < max {
            let grown = (self.bytes.len() * 2).min(max);
            self.bytes.resize(grown, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// Whether the memory is filled to its end: the peer has probably more to
    /// say than fits.
    pub fn is_full(&self) -> bool {
        !self.bytes.is_empty() && self.end == self.bytes.len()
    }

    /// Takes memory of `size` bytes for what comes, if nothing waits in the
    /// present one and it is smaller. It is freed and not pooled on release.
    pub fn enlarge(&mut self, size: usize) {
        if self.is_empty() && !self.bytes.is_empty() && self.bytes.len() < size {
            self.release();
            self.bytes = vec![0; size];
        }
    }

    /// Counts `count` bytes of the room as read.
    pub fn advance(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Gives the memory back if no byte waits in it.
    pub fn release(&mut self) {
        if self.is_empty() && !self.bytes.is_empty() {
            self.start = 0;
            self.end = 0;
            self.pool.give(std::mem::take(&mut self.bytes));
        }
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        self.consume(usize::MAX - self.start);
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_from_the_pool_and_goes_back() {
        let pool = BufferPool::new(8, 1);
        let mut buffer = ReadBuffer::new(pool.clone());
        buffer.room(16)[..3].copy_from_slice(b"abc");
        buffer.advance(3);
        buffer.release();
        assert_eq!(buffer.filled(), b"abc");
        buffer.consume(3);
        buffer.release();
        assert_eq!(pool.0.free.borrow().len(), 1);
        assert_eq!(buffer.filled(), b"");
    }

    #[test]
    fn bytes_are_cut_out_of_the_middle() {
        let mut buffer = ReadBuffer::new(BufferPool::new(8, 1));
        buffer.room(8)[..6].copy_from_slice(b"abcdef");
        buffer.advance(6);
        buffer.consume(1);
        buffer.cut(1, 3);
        assert_eq!(buffer.filled(), b"bef");
        buffer.cut(2, 9);
        assert_eq!(buffer.filled(), b"be");
        buffer.cut(2, 1);
        assert_eq!(buffer.filled(), b"be");
    }

    #[test]
    fn larger_memory_does_not_go_into_the_pool() {
        let pool = BufferPool::new(4, 1);
        let mut buffer = ReadBuffer::new(pool.clone());
        buffer.room(4);
        buffer.advance(4);
        assert!(buffer.is_full());
        buffer.enlarge(16);
        assert_eq!(buffer.room(4).len(), 0, "bytes that wait stay where they are");
        buffer.consume(4);
        buffer.enlarge(16);
        assert_eq!(buffer.room(4).len(), 16);
        assert!(!buffer.is_full());
        buffer.release();
        assert_eq!(pool.0.free.borrow().iter().map(Vec::len).collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn grows_to_its_bound_and_moves_to_the_front() {
        let mut buffer = ReadBuffer::new(BufferPool::new(4, 1));
        for byte in 0..6 {
            buffer.room(6)[0] = byte;
            buffer.advance(1);
        }
        assert!(buffer.room(6).is_empty());
        buffer.consume(2);
        assert_eq!(buffer.room(6).len(), 2);
        assert_eq!(buffer.filled(), [2, 3, 4, 5]);
    }
}
