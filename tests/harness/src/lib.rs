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
mod call;
mod command;
mod config;
mod curl;
mod dns;
mod h2;
mod load;
mod message;
mod origin;
mod pair;
mod process;
mod reload;
mod reply;
mod tempdir;
mod wait;
mod wire;

pub use ::h2::{client::Builder as H2ClientSettings, server::Builder as H2OriginSettings};
pub use access_log::{ACCESS_LOG_FORMAT, AccessLine};
pub use background::Background;
pub use binary::{artifact, binary, repository, target_dir};
pub use blackhole::BlackHole;
pub use call::{Begun, Call, Client, Spoken};
pub use command::{Outcome, run, run_into, run_reading, run_within, sidegate};
pub use config::ConfigBuilder;
pub use curl::{CurlAnswer, curl};
pub use dns::Dns;
pub use h2::{
    Ending, Frame, Frames, H2Client, H2Error, H2Exchange, H2Origin, H2Stream, block, code, flag, kind, literal, setting,
};
pub use load::Load;
pub use message::{Framing, Head, Message};
pub use origin::{Origin, OriginConnection, Seen};
pub use pair::Pair;
pub use process::{Proxy, ProxyOptions};
pub use reply::Reply;
pub use rustix::process::Signal;
pub use tempdir::TempDir;
pub use wait::{Gate, PATIENCE, until};
pub use wire::{Wire, WireError};
