//! What must hold for the readers of foreign bytes, whatever they are given.
//! Each function takes any input, and panics if something does not hold.
//!
//! `cargo test` runs them over the kept inputs of `corpus/` and over small
//! changes of these; `libfuzzer/` lets libFuzzer look for new ones.

#![forbid(unsafe_code)]
// Here a panic is what tells.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is a finding")]

pub mod config;
pub mod http1;
pub mod manifest;
pub mod preflight;
pub mod trust;
pub mod walk;

/// A target by the name of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 7] = [
    ("config", config::resolved),
    ("http1_request", http1::request),
    ("http1_response", http1::response),
    ("manifest", manifest::read),
    ("preflight", preflight::inspected),
    ("trust", trust::read),
    ("walk", walk::walked),
];
