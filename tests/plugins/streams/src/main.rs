//! A plugin for tests of the streaming protocol. With the argument `raw` it
//! breaks the protocol as fields of requests ask for, with `deaf` it reads
//! nothing; else it is made with the kit and obeys what they say, with
//! `log_sink` as one that takes access logs.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what a plugin prints is its protocol")]

mod early;
mod log_sink;
mod obeys;
mod raw;

use std::process::ExitCode;

fn main() -> ExitCode {
    let how = std::env::args().nth(1).unwrap_or_default();
    match how.as_str() {
        "raw" => raw::serve(false),
        "deaf" => raw::serve(true),
        "log_sink" => sidegate_plugin_kit::serve_log_sink(log_sink::Obeys::new()),
        how => sidegate_plugin_kit::serve(obeys::Obeys::new(how)),
    }
}
