//! The demo is the first thing a newcomer runs.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use sidegate_harness::{Outcome, binary, repository, run, run_within, target_dir};

/// Whether there is a release build; if so it is brought up to date, so that
/// what is timed is the demo.
fn built() -> bool {
    if !target_dir().join("release/sidegate-demo").exists() || !binary().exists() {
        eprintln!("skipped: no release build, see `make build`");
        return false;
    }
    let outcome = run_within(Duration::from_secs(900), make().arg("build"));
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    true
}

fn make_demo(port: u16, more: &[&str]) -> Outcome {
    run(make().arg("demo").arg("CHECK=1").arg(format!("DEMO_PORT={port}")).args(more))
}

fn make() -> Command {
    let mut command = Command::new("make");
    command.arg("-s").current_dir(repository());
    // What cargo tells its tests must not change what a cargo inside make builds.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let of_cargo = text.starts_with("CARGO") && text != "CARGO_HOME" && text != "CARGO_TARGET_DIR";
        if of_cargo || text.starts_with("MAKE") {
            command.env_remove(&name);
        }
    }
    command
}

#[test]
fn make_demo_shows_403_and_200_and_changes_the_module() {
    if !built() {
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = Instant::now();
    let outcome = make_demo(port, &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    for wanted in ["403", "200", "curl", "User: admin", "generation 2", "requests were answered with 200"] {
        assert!(outcome.stdout.contains(wanted), "{wanted} is missing in:\n{}", outcome.output());
    }
    // Nothing stays behind on the port.
    TcpListener::bind(("127.0.0.1", port)).expect("the demo's proxy ended with it");
}

#[test]
fn it_speaks_http2_with_both_sides_where_it_is_asked_to() {
    if !built() {
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let outcome = make_demo(port, &["HTTP2=1"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    for wanted in ["HTTP/2 403", "HTTP/2 200", "--http2-prior-knowledge", "requests were answered with 200"] {
        assert!(outcome.stdout.contains(wanted), "{wanted} is missing in:\n{}", outcome.output());
    }
}

#[test]
fn two_sidegates_speak_mutual_tls_where_it_is_asked_for() {
    if !built() {
        return;
    }
    for (more, status) in [(&["TLS=1"][..], "HTTP/1.1"), (&["TLS=1", "HTTP2=1"], "HTTP/2")] {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let outcome = make_demo(port, more);
        assert_eq!(outcome.code, Some(0), "{}", outcome.output());
        for wanted in [
            "sidegate cert",
            &format!("{status} 403"),
            &format!("{status} 200"),
            "CN=a.demo.test",
            "HTTP/1.1 400",
            "HTTP/1.1 502",
            "certificate_missing",
            "requests were answered with 200",
        ] {
            assert!(outcome.stdout.contains(wanted), "{wanted} is missing in:\n{}", outcome.output());
        }
        TcpListener::bind(("127.0.0.1", port)).expect("the demo's proxies ended with it");
    }
}

#[test]
fn a_taken_port_is_named_with_the_way_out() {
    if !built() {
        return;
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let outcome = make_demo(port, &[]);
    assert!(outcome.code.is_some_and(|code| code != 0), "{}", outcome.output());
    assert!(
        outcome.output().contains("DEMO_PORT") && outcome.output().contains(&port.to_string()),
        "{}",
        outcome.output()
    );
}
