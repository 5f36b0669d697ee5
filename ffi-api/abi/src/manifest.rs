//! What a module says of its filters, readable without running its code.

use crate::numbers::{MANIFEST_MAGIC, MANIFEST_MAX};

/// Constant data under [`SYMBOL_MANIFEST`](crate::SYMBOL_MANIFEST), in a section
/// that is in the file and that nothing is relocated in. Optional.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Manifest<const N: usize> {
    /// [`MANIFEST_MAGIC`](crate::MANIFEST_MAGIC).
    pub magic: [u8; 8],
    /// Bytes of `text` that count.
    pub len: u32,
    /// 0: none is defined, and a manifest with others is refused.
    pub flags: u32,
    /// A JSON object in UTF-8.
    pub text: [u8; N],
}

impl<const N: usize> Manifest<N> {
    /// A manifest with `text`, whose length is `N`.
    ///
    /// # Panics
    /// When it is compiled: if the text is longer than
    /// [`MANIFEST_MAX`](crate::MANIFEST_MAX), or not of length `N`.
    pub const fn new(text: &str) -> Self {
        let from = text.as_bytes();
        assert!(from.len() == N, "the text of a manifest is not of the length that was said");
        assert!(N <= MANIFEST_MAX as usize, "the text of a manifest is longer than 256 KiB");
        let mut copy = [0; N];
        let mut at = 0;
        while at < N {
            copy[at] = from[at];
            at += 1;
        }
        Manifest { magic: MANIFEST_MAGIC, len: N as u32, flags: 0, text: copy }
    }
}
