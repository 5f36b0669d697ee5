//! The raw tables of the Sidegate module ABI, version 1, as Rust sees them.
//! `ffi-api/include/sidegate.h` is the same for C, with every rule spelled
//! out; module authors in Rust use the safe `sidegate-sdk` instead.
//!
//! Rules that hold for every type here:
//!
//! - Every table begins with `size`, its length in bytes as its maker knows
//!   it. Fields are only ever appended. A function that is `None`, or lies
//!   beyond `size`, is not supported by that peer.
//! - [`Slice`] and [`Header`] stand in arrays and are frozen.
//! - Integers have fixed widths; no Rust or C enum, bool or bit-field crosses.
//!   Numbers are append-only and never reused.
//! - What the host lends is valid until the hook returns or until the module
//!   changes that same map or body. What the module lends is copied before the
//!   call returns. Each side frees what it allocated.
//! - Nothing unwinds across.

#![no_std]
#![deny(missing_docs)]

mod factory;
mod host;
#[cfg(feature = "abi_stable")]
mod layout;
mod manifest;
mod numbers;
mod record;
mod types;

pub use factory::{
    CreateArgs, CreateFilterFactory, CreateResult, FactoryTable, FilterTable, Hook, HookFn, Interests, LayoutFn,
    ThreadDetach,
};
pub use host::{Completion, HeaderVisitor, HostTable, PluginAnswer, PluginCall, Reply};
#[cfg(feature = "abi_stable")]
pub use layout::{layout, ABI_STABLE_VERSION};
pub use manifest::Manifest;
pub use numbers::*;
pub use record::{record_text, ModuleRecord, LAYOUT_DIGEST};
pub use types::{ErrorOut, Header, Module, Resume, Slice, StateOut, Stream};
