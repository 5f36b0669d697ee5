//! The layouts of all ABI types, for peers that use `abi_stable` too.

use abi_stable::{type_layout::TypeLayout, StableAbi};

use crate::{CreateArgs, CreateResult, ModuleRecord};

/// Reaches every type of the ABI.
#[repr(C)]
#[derive(abi_stable::StableAbi)]
struct Tables {
    record: *const ModuleRecord,
    args: *const CreateArgs,
    result: *mut CreateResult,
}

/// The layouts of this crate's types; what `sidegate_layout_v1` returns.
pub fn layout() -> &'static TypeLayout {
    <Tables as StableAbi>::LAYOUT
}

/// Version of `abi_stable` that describes them. Another one may describe them
/// otherwise.
#[allow(clippy::incompatible_msrv)] // The feature needs Rust 1.64.
pub const ABI_STABLE_VERSION: &str = {
    let version = abi_stable::ABI_STABLE_VERSION.version;
    // SAFETY: it is a `str` taken apart; its own way back is not constant.
    unsafe { core::str::from_utf8_unchecked(core::slice::from_raw_parts(version.as_ptr(), version.len())) }
};
