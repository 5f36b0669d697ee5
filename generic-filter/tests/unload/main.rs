//! Generations that leave the process, in a process of their own: what it has
//! open, mapped and running is counted, so one test runs at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod generations;
mod hung;
mod kit;
mod rounds;
#[allow(dead_code, unused_imports, reason = "shared with the other tests")]
#[path = "../it/support.rs"]
mod support;
mod unmapped;
