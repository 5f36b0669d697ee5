//! `sidegate new-filter`: what it writes builds, tests itself, runs, and is
//! replaced when a source is saved.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use sidegate_harness::{Message, Outcome, TempDir, Wire, artifact, sidegate, until};

fn new_filter(folder: &Path, options: &[&str]) -> Outcome {
    let mut args = vec!["new-filter".as_ref(), "greeter".as_ref(), "--folder".as_ref(), folder.as_os_str()];
    args.extend(options.iter().map(std::ffi::OsStr::new));
    sidegate(args)
}

/// `make run` in a process group of its own, which ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-TERM", "--", &group]).status();
        let _ = self.0.wait();
    }
}

fn make(folder: &Path, targets: &[&str]) -> Command {
    let mut make = Command::new("make");
    make.current_dir(folder).args(targets).arg(format!("SIDEGATE={}", artifact("sidegate").display()));
    // Not those of the make that runs the tests.
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CARGO_TARGET_DIR"] {
        make.env_remove(variable);
    }
    // One folder for all runs: the crates of others are built once.
    make.env("CARGO_TARGET_DIR", built());
    make
}

fn built() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-filter")
}

/// Builds and runs the filter in `folder`, changes `source` and sees the change.
#[track_caller]
fn works(folder: &Path, source: &str, from: &str, to: &str) {
    let made = make(folder, &[]).output().unwrap();
    assert!(
        made.status.success(),
        "{}{}",
        String::from_utf8_lossy(&made.stdout),
        String::from_utf8_lossy(&made.stderr)
    );

    let config = folder.join("config.yaml");
    let text = fs::read_to_string(&config).unwrap().replace("127.0.0.1:2046", "127.0.0.1:0");
    fs::write(&config, text.replace("port_value: 34901", "port_value: 0")).unwrap();
    let ready = folder.join("ready.json");
    let mut run = make(folder, &["run", &format!("RUN=--ready-file {}", ready.display())]);
    let log = fs::File::create(folder.join("run.log")).unwrap();
    run.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
    let _running = Running(run.spawn().unwrap());
    let addresses: Value = until("the proxy to listen", || serde_json::from_slice(&fs::read(&ready).ok()?).ok());
    let address = addresses["listeners"]["ingress"].as_str().unwrap().parse().unwrap();
    let get = |path: &str| -> Message {
        Wire::connect(address).send(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).response()
    };
    let hello = get("/hello");
    assert_eq!((hello.status(), hello.body.as_slice()), (200, &b"hello\n"[..]));
    assert_eq!(get("/").body, b"not said hello\n");

    let file = folder.join(source);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&file, text.replace(from, to)).unwrap();
    until("the changed filter to answer", || (get("/hello").status() == 201).then_some(()));
}

#[test]
fn a_filter_in_c() {
    let dir = TempDir::new();
    let folder = dir.path().join("greeter");
    let outcome = new_filter(&folder, &["--lang", "c"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    works(&folder, "filter.c", "hook->stream, 200,", "hook->stream, 201,");
}

#[test]
fn a_filter_in_cpp() {
    let dir = TempDir::new();
    let folder = dir.path().join("greeter");
    let outcome = new_filter(&folder, &["--lang", "cpp"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    works(&folder, "filter.cpp", "Reply::text(200,", "Reply::text(201,");
}

#[test]
fn a_filter_in_rust() {
    let dir = TempDir::new();
    let folder = dir.path().join("greeter");
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ffi-api/sdk");
    let outcome = new_filter(&folder, &["--sdk", sdk.to_str().unwrap()]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    works(&folder, "src/lib.rs", "Reply::text(200,", "Reply::text(201,");
}

#[test]
fn nothing_is_written_over_and_names_are_checked() {
    let dir = TempDir::new();
    let folder = dir.path().join("greeter");
    fs::create_dir(&folder).unwrap();
    let outcome = new_filter(&folder, &[]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("it is there already"), "{}", outcome.output());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    let outcome = new_filter(&dir.path().join("other"), &["--sdk", "/nowhere"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("sidegate-sdk"), "{}", outcome.output());
    assert!(!dir.path().join("other").exists());
    for name in ["A b", "../a", "a_b"] {
        let outcome = sidegate(["new-filter".as_ref(), std::ffi::OsStr::new(name)]);
        assert!(outcome.code == Some(1) && outcome.stderr.contains("is no name"), "{}", outcome.output());
    }
}
