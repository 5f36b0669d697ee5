//! HTTP/2 towards hosts: over real sockets, against the `h2` crate's server and
//! against raw frames.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod connections;
mod kit;
mod pools;
mod streams;
