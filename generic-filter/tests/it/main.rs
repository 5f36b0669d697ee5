//! Modules compiled from C, refused, loaded and driven without a proxy.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod hooks;
mod life;
mod modules;
mod preflight;
mod support;
mod tables;
