//! A plugin for tests: with MOSN's protocol, and with every fault that a plugin
//! can have. Its only argument says how it begins, fields of requests what it
//! does with them.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what a plugin prints is its protocol")]

mod behaviour;
mod serve;
mod streams;

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use behaviour::Behaviour;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    // MOSN's own plugins are started without arguments.
    let how = arguments.next().or_else(|| std::env::var("TEST_PLUGIN_HOW").ok()).unwrap_or_default();
    if std::env::var("MOSN_PLUGIN").as_deref() != Ok("ON") {
        eprintln!("[ERROR] this is a plugin; it is not started by hand");
        return ExitCode::from(3);
    }
    match how.as_str() {
        "exit" => return ExitCode::from(7),
        "silent" => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        "closed" => {
            // What it says of that comes first.
            eprintln!("[ERROR] no word on stdout");
            return ExitCode::SUCCESS;
        }
        "garbage" => say("hello, world"),
        "version" => say("1|2|tcp|127.0.0.1:1|grpc|"),
        "foreign" => say("1|1|tcp|192.0.2.1:80|grpc|"),
        "certificate" => say(&format!("1|1|tcp|127.0.0.1:1|grpc|{}", "A".repeat(60))),
        "endless" => {
            let line = [b'x'; 4096];
            while std::io::stdout().write_all(&line).is_ok() {}
            return ExitCode::FAILURE;
        }
        "" | "unix" | "slow" | "plain" | "forks" | "ill" | "others" | "stdio" | "twice" | "single" | "loader" => {
            return serve::serve(Behaviour::new(&how));
        }
        // Says its second argument if it names a file from where it stands.
        "reads" => {
            if !arguments.next().is_some_and(|file| std::path::Path::new(&file).is_file()) {
                eprintln!("[ERROR] no such file here");
                return ExitCode::FAILURE;
            }
            return serve::serve(Behaviour::new(&how));
        }
        // Others of its kind, told apart by their answers.
        other if other.starts_with("name=") => return serve::serve(Behaviour::new(other)),
        other => {
            eprintln!("[ERROR] no such way to begin: {other:?}");
            return ExitCode::FAILURE;
        }
    }
    // What was wrong was said; who reads it ends this.
    let _ = std::io::stdin().read(&mut [0; 1]);
    std::thread::sleep(Duration::from_secs(3600));
    ExitCode::SUCCESS
}

/// Prints a line on standard output.
fn say(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}
