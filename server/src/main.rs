//! The `sidegate` binary: command line and composition root.

#![forbid(unsafe_code)]

mod admin_client;
mod admin_source;
mod against;
mod cert;
mod certificates;
mod certs;
mod check;
mod cli;
mod compose;
mod control;
mod ending;
mod errands;
mod fronts;
mod hangs;
mod health;
mod inspect;
mod key_log;
mod live_edit;
mod manual;
mod new_filter;
mod plans;
mod ready;
mod run;
mod running_config;
mod schema;
mod sign;
mod signals;
mod source;
mod start;
mod systemd;
mod trust;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: sidegate_memory::Allocator = sidegate_memory::Allocator;

fn main() -> ExitCode {
    match cli::Cli::parse().command {
        cli::Command::Run(args) => under_init(|| start::with_modules(|start| run::run(&args, start))),
        cli::Command::Check(args) => start::with_modules(|start| check::check(&args, start)),
        cli::Command::Health(args) => health::health(&args),
        cli::Command::Inspect(args) => inspect::inspect(&args),
        cli::Command::Schema(args) => schema::schema(&args),
        cli::Command::Cert(args) => cert::cert(&args),
        cli::Command::Keygen(args) => sign::keygen(&args),
        cli::Command::Sign(args) => sign::sign(&args),
        cli::Command::NewFilter(args) => new_filter::new_filter(&args),
        cli::Command::Completions(args) => manual::completions(&args),
        cli::Command::Man(args) => manual::pages(&args),
    }
}

/// As process 1 it is its own init, and works in a child; before there is any
/// other thread.
fn under_init(work: impl FnOnce() -> ExitCode) -> ExitCode {
    if sidegate_spawn::is_init() {
        match sidegate_spawn::become_init() {
            Ok(Some(code)) => return code,
            Ok(None) => {}
            Err(error) => complain(&format_args!("runs as process 1 without an init: {error}")),
        }
    }
    work()
}

/// Prints an error to stderr. What fails before the log is open, or ends the
/// process, is said here.
#[allow(clippy::print_stderr)]
fn complain(message: &dyn std::fmt::Display) {
    eprintln!("sidegate: {message}");
}

/// Prints a result to stdout.
#[allow(clippy::print_stdout)]
fn print(text: &dyn std::fmt::Display) {
    println!("{text}");
}
