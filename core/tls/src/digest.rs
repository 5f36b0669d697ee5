//! What a context is made of, as a number.

use std::fmt;
use std::hash::{Hash, Hasher};

use aws_lc_rs::digest::{Context, SHA256};

/// What a context is made of: settings and the contents of files. Equal numbers
/// mean equal contexts, whenever they were made.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContextId([u8; 16]);

/// SHA-256 over values, each kept apart from the next.
pub(crate) struct Digest(Context);

impl Digest {
    /// `purpose` keeps digests for different purposes apart.
    pub fn new(purpose: &str) -> Digest {
        let mut digest = Digest(Context::new(&SHA256));
        digest.add(purpose);
        digest
    }

    /// Adds a value that knows how to be hashed.
    pub fn add<T: Hash + ?Sized>(&mut self, value: &T) {
        value.hash(self);
    }

    pub fn finish(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        bytes
    }

    pub fn id(self) -> ContextId {
        let mut short = [0; 16];
        short.copy_from_slice(&self.finish()[..16]);
        ContextId(short)
    }
}

/// `Hash` is what writes; its own short result is never asked for.
impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

impl fmt::Debug for ContextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ContextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&SHA256, bytes).as_ref());
    hash
}

/// Lower case, without separators.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
