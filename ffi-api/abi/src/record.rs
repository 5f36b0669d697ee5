//! The record that identifies a module without running its code.

use crate::numbers::{ABI_MAJOR, ABI_MINOR, RECORD_MAGIC};

/// Constant data under [`SYMBOL_RECORD`](crate::SYMBOL_RECORD), in a section
/// that is in the file (not `.bss`), without pointers. Texts are UTF-8, padded
/// with NUL.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug, Clone, Copy)]
pub struct ModuleRecord {
    /// [`RECORD_MAGIC`].
    pub magic: [u8; 8],
    /// Length of this record in bytes as the module knows it.
    pub record_size: u32,
    /// ABI major the module was built for.
    pub abi_major: u16,
    /// ABI minor the module was built for: what it knows.
    pub abi_minor: u16,
    /// Lowest minor of a host it can work with.
    pub min_host_minor: u16,
    /// `PANIC_*`.
    pub panic: u16,
    /// 0: none is defined, and a record with others is refused.
    pub flags: u32,
    /// Name of the module.
    pub name: [u8; 64],
    /// The module's own version.
    pub version: [u8; 32],
    /// What it was written with: `sidegate-sdk`, `sidegate.h`.
    pub sdk: [u8; 32],
    /// Version of that.
    pub sdk_version: [u8; 16],
    /// Compiler and its version, for people.
    pub compiler: [u8; 64],
    /// `abi_stable` version behind `sidegate_layout_v1`; empty without.
    pub abi_stable_version: [u8; 16],
    /// Digest of the type layouts; zero without.
    pub layout_digest: [u8; 32],
}

/// SHA-256 of the layout snapshot of this minor, for
/// [`ModuleRecord::layout_digest`].
#[rustfmt::skip]
pub const LAYOUT_DIGEST: [u8; 32] = [0x58, 0xab, 0x3e, 0xe5, 0xbe, 0x7d, 0xf2, 0xfb, 0x5f, 0xb8, 0x1c, 0xf3, 0xd7, 0x7b, 0x63, 0xd7, 0x2d, 0x15, 0xd6, 0x7f, 0x2f, 0x91, 0x7b, 0x0a, 0xe2, 0x32, 0x14, 0xed, 0x41, 0xfc, 0x3c, 0x0c];

impl ModuleRecord {
    /// A record for the ABI of this crate, with empty texts.
    pub const fn new(panic: u16) -> ModuleRecord {
        ModuleRecord {
            magic: RECORD_MAGIC,
            record_size: core::mem::size_of::<ModuleRecord>() as u32,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            min_host_minor: 0,
            panic,
            flags: 0,
            name: [0; 64],
            version: [0; 32],
            sdk: [0; 32],
            sdk_version: [0; 16],
            compiler: [0; 64],
            abi_stable_version: [0; 16],
            layout_digest: [0; 32],
        }
    }
}

/// `text` as a NUL-padded field; what does not fit is cut at a byte.
pub const fn record_text<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    let mut field = [0; N];
    let mut index = 0;
    while index < bytes.len() && index < N {
        field[index] = bytes[index];
        index += 1;
    }
    field
}
