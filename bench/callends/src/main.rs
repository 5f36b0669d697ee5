//! Both ends of a plugin's call, without a proxy.
//!
//! ```text
//! sidegate-callends plugin    the filter `auth` as a plugin, by either protocol
//! sidegate-callends client    MOSN's call by a bare tonic client
//!
//! stdin   {"socket":"/run/plugin.sock","at_once":1,"seconds":2.0}     a run of the client; see [`client::Plan`]
//! stdout  {"requests":52000,"errors":0,"p50_us":…}                    its result; see [`client::Report`]
//! ```
//!
//! The client ends with its standard input.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its results are its output")]

mod client;
mod connector;
mod plugin;

use std::process::ExitCode;

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("plugin") => sidegate_plugin_kit::serve(plugin::Auth),
        Some("client") => match client::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("expected `plugin` or `client`");
            ExitCode::FAILURE
        }
    }
}
