//! The demo is the first thing a newcomer runs.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use sidegate_harness::{Outcome, binary, repository, run, target_dir};

/// Whether the release build is there that the demo uses.
fn built() -> bool {
    let built = target_dir().join("release/sidegate-demo").exists() && binary().exists();
    if !built {
        eprintln!("skipped: no release build, see `make build`");
    }
    built
}

fn make_demo(port: u16) -> Outcome {
    let mut command = Command::new("make");
    command.arg("-s").arg("demo").arg("CHECK=1").arg(format!("DEMO_PORT={port}")).current_dir(repository());
    // What cargo tells its tests must not change what a cargo inside make builds.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if (text.starts_with("CARGO") && text != "CARGO_HOME" && text != "CARGO_TARGET_DIR") || text.starts_with("MAKE")
        {
            command.env_remove(&name);
        }
    }
    run(&mut command)
}

#[test]
fn make_demo_shows_403_and_200() {
    if !built() {
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = Instant::now();
    let outcome = make_demo(port);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    for wanted in ["403", "200", "curl", "User: admin"] {
        assert!(outcome.stdout.contains(wanted), "{wanted} is missing in:\n{}", outcome.output());
    }
    // Nothing stays behind on the port.
    TcpListener::bind(("127.0.0.1", port)).expect("the demo's proxy ended with it");
}

#[test]
fn a_taken_port_is_named_with_the_way_out() {
    if !built() {
        return;
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let outcome = make_demo(port);
    assert!(outcome.code.is_some_and(|code| code != 0), "{}", outcome.output());
    assert!(
        outcome.output().contains("DEMO_PORT") && outcome.output().contains(&port.to_string()),
        "{}",
        outcome.output()
    );
}
