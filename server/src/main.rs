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
mod output;
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

use crate::output::{complain, printing};

#[global_allocator]
static ALLOCATOR: sidegate_memory::Allocator = sidegate_memory::Allocator;

fn main() -> ExitCode {
    match cli::Cli::try_parse() {
        Ok(cli) => carry_out(cli.command),
        Err(wrong) if wrong.use_stderr() => wrong.exit(),
        // Help and versions.
        Err(asked) => printing(|output| {
            output.put(|| asked.print());
            ExitCode::SUCCESS
        }),
    }
}

fn carry_out(command: cli::Command) -> ExitCode {
    match command {
        cli::Command::Run(args) => under_init(|| start::with_modules(|start| run::run(&args, start))),
        cli::Command::Check(args) => start::with_modules(|start| printing(|output| check::check(&args, start, output))),
        cli::Command::Health(args) => printing(|output| health::health(&args, output)),
        cli::Command::Inspect(args) => printing(|output| inspect::inspect(&args, output)),
        cli::Command::Schema(args) => printing(|output| schema::schema(&args, output)),
        cli::Command::Cert(args) => printing(|output| cert::cert(&args, output)),
        cli::Command::Keygen(args) => printing(|output| sign::keygen(&args, output)),
        cli::Command::Sign(args) => printing(|output| sign::sign(&args, output)),
        cli::Command::NewFilter(args) => printing(|output| new_filter::new_filter(&args, output)),
        cli::Command::Completions(args) => printing(|output| manual::completions(&args, output)),
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
