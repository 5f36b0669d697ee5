//! What the end-to-end tests and the demo need around the `sidegate` binary:
//! the process itself, its configuration, and peers on both sides whose bytes
//! the test decides.
//!
//! Everything here fails by panicking with a reason, because a test that
//! cannot go on has failed. Nothing waits without a deadline.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a helper of tests fails by panicking and shows logs on stderr"
)]

mod access_log;
mod background;
mod binary;
mod blackhole;
mod command;
mod config;
mod curl;
mod dns;
mod load;
mod message;
mod origin;
mod process;
mod reload;
mod reply;
mod tempdir;
mod wait;
mod wire;

pub use access_log::{ACCESS_LOG_FORMAT, AccessLine};
pub use background::Background;
pub use binary::{artifact, binary, repository, target_dir};
pub use blackhole::BlackHole;
pub use command::{Outcome, run, run_reading, run_within, sidegate};
pub use config::ConfigBuilder;
pub use curl::{CurlAnswer, curl};
pub use dns::Dns;
pub use load::Load;
pub use message::{Framing, Head, Message};
pub use origin::{Origin, OriginConnection, Seen};
pub use process::{Proxy, ProxyOptions};
pub use reply::Reply;
pub use rustix::process::Signal;
pub use tempdir::TempDir;
pub use wait::{Gate, PATIENCE, until};
pub use wire::{Wire, WireError};
