//! HTTP/2 towards clients: over real sockets, against the `h2` crate's client
//! and against raw frames.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod floods;
mod kit;
mod lengths;
mod streams;
mod windows;
