//! The body bytes that filters see.

/// Bytes of a body that are in a filter's hands: one chunk in streamed mode,
/// all of it in whole mode. Not used at all while no filter asks for bodies.
#[derive(Debug, Default)]
pub struct BodyBuffer {
    bytes: Vec<u8>,
    /// Bytes before `start` were drained.
    start: usize,
    /// A filter changed bytes since the flag was last taken.
    edited: bool,
    /// No bytes follow these.
    last: bool,
}

impl BodyBuffer {
    /// An empty buffer without allocation.
    pub const fn new() -> Self {
        BodyBuffer { bytes: Vec::new(), start: 0, edited: false, last: false }
    }

    /// The bytes, in order.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it has.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Makes room for `total` bytes and no more.
    pub fn reserve_to(&mut self, total: usize) {
        self.bytes.reserve_exact(total.saturating_sub(self.bytes.len()));
    }

    /// Appends `bytes`.
    pub fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Replaces everything by `bytes`.
    pub fn replace(&mut self, bytes: &[u8]) {
        self.clear();
        self.append(bytes);
    }

    /// Removes up to `count` bytes from the front and says how many.
    pub fn drain(&mut self, count: usize) -> usize {
        let count = count.min(self.len());
        self.start += count;
        if self.start == self.bytes.len() {
            self.clear();
        }
        count
    }

    /// Removes everything and keeps the memory, up to a bound.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    /// Notes that a filter changes bytes.
    pub(crate) fn mark_edited(&mut self) {
        self.edited = true;
    }

    /// Whether a filter changed bytes since the last call.
    pub fn take_edited(&mut self) -> bool {
        std::mem::take(&mut self.edited)
    }

    /// Whether the body ends with these bytes. Unlike the end flag of a body
    /// hook, which stands for the whole message, this is so in front of
    /// trailers too: a filter that holds bytes back has to let them go now.
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// For the proxy: says whether the body ends with these bytes.
    pub fn set_last(&mut self, last: bool) {
        self.last = last;
    }

    /// Gives memory back that a large body left behind.
    pub fn shrink(&mut self, max_bytes: usize) {
        if self.bytes.capacity() > max_bytes {
            if self.bytes.is_empty() {
                // The next body is no more likely to be large.
                self.bytes = Vec::new();
            } else {
                self.bytes.shrink_to(max_bytes);
            }
        }
    }
}
