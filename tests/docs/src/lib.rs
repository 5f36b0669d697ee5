//! Compiles and runs the Rust code of the documentation, as doctests.

#![forbid(unsafe_code)]
#![allow(clippy::test_attr_in_doctest, reason = "the crate that the first page shows runs its test")]

/// The front page of the repository.
#[doc = include_str!("../../../README.md")]
pub mod readme {}

/// The first page of the book.
#[doc = include_str!("../../../docs/src/start.md")]
pub mod start {}

/// How to write a filter.
#[doc = include_str!("../../../docs/src/filter-rust.md")]
pub mod filter {}

/// How to test one.
#[doc = include_str!("../../../docs/src/testing.md")]
pub mod testing {}

/// Plugins that are programs, by the streaming protocol.
#[doc = include_str!("../../../docs/src/plugin-streaming.md")]
pub mod plugin_streaming {}

/// Programs that take access logs.
#[doc = include_str!("../../../docs/src/plugin-access-logs.md")]
pub mod plugin_access_logs {}
