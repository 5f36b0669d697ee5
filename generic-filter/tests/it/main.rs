//! Modules compiled from C, refused, loaded and driven without a proxy.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod handover;
mod hooks;
#[cfg(feature = "abi_stable")]
mod layouts;
mod life;
mod lying;
mod modules;
mod preflight;
mod support;
mod tables;
