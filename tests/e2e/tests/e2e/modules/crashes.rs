//! A module that ends the process: one line says where, and the end is none
//! that looks like a clean one.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, ProxyOptions, Signal, TempDir, run, sidegate, until};

use super::Module;
use super::hangs::{config, trouble};

const NEVER: &str = "/nonexistent/never";

/// Has a request cause `what` in `hook`, and waits for the end.
fn end_by(config: &ConfigBuilder, what: &str, hook: &str) -> (ExitStatus, String) {
    let mut proxy = Proxy::start(config);
    let mut client = proxy.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nX-Do: {what}\r\nX-In: {hook}\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
    ));
    let _ = client.try_response("POST");
    (proxy.wait_exit(), proxy.logs())
}

/// The only line that tells of an end.
#[track_caller]
fn line(logs: &str) -> &str {
    let lines: Vec<_> = logs.lines().filter(|line| line.starts_with("sidegate: ")).collect();
    assert_eq!(lines.len(), 1, "{logs}");
    lines[0]
}

/// The function of `file` around the address behind `at FILE+` in `line`.
#[track_caller]
fn function(file: &Path, line: &str) -> String {
    let (_, rest) = line.split_once("at libtrouble+0x").unwrap_or_else(|| panic!("no address in the module: {line}"));
    let digits: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    let address = u64::from_str_radix(&digits, 16).unwrap();
    let symbols = run(Command::new("nm").args(["-n", "--defined-only"]).arg(file)).stdout;
    let functions = symbols.lines().filter_map(|symbol| {
        let mut words = symbol.split_whitespace();
        let start = u64::from_str_radix(words.next()?, 16).ok()?;
        words.next().filter(|kind| kind.eq_ignore_ascii_case("t"))?;
        Some((start, words.next()?.to_owned()))
    });
    functions.take_while(|(start, _)| *start <= address).last().expect("a function").1
}

fn digest(file: &Path) -> String {
    run(Command::new("sha256sum").arg(file)).stdout.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_crash_in_a_hook_is_one_line_and_then_the_signal() {
    let module = Module::compile("trouble");
    let digest = digest(&module.file);
    let origin = Origin::echo();
    let config = config(&origin, trouble(&module, Path::new(NEVER), ""));
    let ours = Some("trouble_cause");
    for (what, signal, said, within) in [
        ("segv", Signal::SEGV, "SIGSEGV (address 0x10) in worker-", ours),
        ("bus", Signal::BUS, "SIGBUS (address 0x", ours),
        ("fpe", Signal::FPE, "SIGFPE in worker-", ours.filter(|_| cfg!(target_arch = "x86_64"))),
        ("ill", Signal::ILL, "SIGILL in worker-", ours.filter(|_| cfg!(target_arch = "x86_64"))),
        ("overflow", Signal::SEGV, "SIGSEGV (stack overflow, address 0x", Some("deeper")),
        ("abort", Signal::ABORT, "SIGABRT (abort) in worker-", None),
        ("raise", Signal::SEGV, "SIGSEGV (sent) in worker-", None),
    ] {
        let (status, logs) = end_by(&config, what, "request_headers");
        assert_eq!(status.signal(), Some(signal.as_raw()), "{what}: {status}\n{logs}");
        let line = line(&logs);
        assert!(line.starts_with(&format!("sidegate: {said}")), "{what}: {line}");
        let place = format!("module libtrouble, filter libtrouble, on_request_headers (sha256 {digest}), at ");
        assert!(line.contains(&place), "{what}: {line}");
        match within {
            Some(name) => assert!([name, "crash"].contains(&&*function(&module.file, line)), "{what}: {line}"),
            // `raise` and `abort` are the C library's.
            None => assert!(line.contains(", at libc"), "{what}: {line}"),
        }
    }
}

#[test]
fn every_hook_is_known_by_its_name() {
    let module = Module::compile("trouble");
    let origin = Origin::echo();
    let config = config(&origin, trouble(&module, Path::new(NEVER), ""));
    for (hook, name) in [
        ("request_body", "on_request_body"),
        ("response_headers", "on_response_headers"),
        ("complete", "on_complete"),
        ("destroy", "destroy (filter)"),
    ] {
        let (status, logs) = end_by(&config, "segv", hook);
        assert_eq!(status.signal(), Some(Signal::SEGV.as_raw()), "{hook}: {status}\n{logs}");
        assert!(line(&logs).contains(&format!("libtrouble, {name} (sha256 ")), "{hook}: {logs}");
    }
    let (status, logs) = end_by(&config, "thread", "request_headers");
    assert_eq!(status.signal(), Some(Signal::SEGV.as_raw()), "{status}\n{logs}");
    assert!(line(&logs).contains(" in another thread ("), "{logs}");
    assert_eq!(function(&module.file, line(&logs)), "crash", "its code is known all the same");
}

#[test]
fn initializers_and_factories_that_crash_are_named_by_run_and_check() {
    let origin = Origin::echo();
    let plain = Module::compile("trouble");
    let option = ["-DCONSTRUCTOR=\"segv\""];
    let constructor = Module::compile_with("tests/modules/trouble.c", &option);
    for (module, what, place) in [
        (&constructor, "", "module libtrouble, its initializers (sha256 "),
        (&plain, "create:segv", "module libtrouble, create_filter_factory (sha256 "),
        (&plain, "create:overflow", "module libtrouble, create_filter_factory (sha256 "),
        (&plain, "create:abort", "module libtrouble, create_filter_factory (sha256 "),
    ] {
        let dir = TempDir::new();
        let config = config(&origin, trouble(module, Path::new(NEVER), what)).build(dir.path());
        let file = dir.write("config.json", config.to_string());
        for command in ["run", "check"] {
            let outcome = sidegate([command.as_ref(), "-c".as_ref(), file.as_os_str()]);
            assert_eq!(outcome.code, None, "{command} {what}: a signal ends it");
            let line = line(&outcome.stderr);
            assert!(line.contains(" in module-control, ") && line.contains(place), "{command} {what}: {line}");
            if !what.contains("abort") {
                let name = function(&module.file, line);
                assert!(["crash", "come", "trouble_cause", "deeper"].contains(&&*name), "{what}: {name}: {line}");
            }
        }
    }
}

#[test]
fn a_module_that_calls_exit_makes_no_clean_end() {
    let origin = Origin::echo();
    let plain = Module::compile("trouble");
    let (status, logs) = end_by(&config(&origin, trouble(&plain, Path::new(NEVER), "")), "exit", "request_body");
    assert_eq!(status.code(), Some(70), "{logs}");
    let said = line(&logs);
    assert!(said.starts_with("sidegate: exit was called in worker-"), "{said}");
    assert!(said.contains("module libtrouble, filter libtrouble, on_request_body (sha256 "), "{said}");
    let (status, logs) = end_by(&config(&origin, trouble(&plain, Path::new(NEVER), "")), "quick_exit", "destroy");
    assert_eq!(status.code(), Some(70), "{logs}");
    let said = line(&logs);
    assert!(said.starts_with("sidegate: quick_exit was called in worker-"), "{said}");
    assert!(said.contains("module libtrouble, filter libtrouble, destroy (filter) (sha256 "), "{said}");
    let constructor = Module::compile_with("tests/modules/trouble.c", &["-DCONSTRUCTOR=\"exit\""]);
    for (module, what, place) in
        [(&constructor, "", "its initializers"), (&plain, "create:exit", "create_filter_factory")]
    {
        let dir = TempDir::new();
        let config = config(&origin, trouble(module, Path::new(NEVER), what)).build(dir.path());
        let file = dir.write("config.json", config.to_string());
        let outcome = sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str()]);
        assert_eq!(outcome.code, Some(70), "{}", outcome.output());
        assert!(line(&outcome.stderr).contains(place), "{}", outcome.output());
    }
}

#[test]
fn a_destructor_that_calls_exit_makes_no_failure_a_success() {
    let origin = Origin::echo();
    let leaves = Module::compile_with("tests/modules/trouble.c", &["-DDESTRUCTOR=\"exit\""]);
    let refused = Module::compile("tables");
    let config = config(&origin, trouble(&leaves, Path::new(NEVER), "")).filter(refused.entry("factory-0", &json!({})));
    let dir = TempDir::new();
    let file = dir.write("config.json", config.build(dir.path()).to_string());
    for command in ["run", "check"] {
        let outcome = sidegate([command.as_ref(), "-c".as_ref(), file.as_os_str()]);
        assert_eq!(outcome.code, Some(1), "{command}: {}", outcome.output());
        assert!(outcome.stderr.contains("factory table"), "{command}: {}", outcome.output());
    }
}

#[test]
fn a_forked_child_does_not_keep_the_ports() {
    let module = Module::compile("trouble");
    let origin = Origin::echo();
    for reuseport in [false, true] {
        let dir = TempDir::new();
        let config = config(&origin, trouble(&module, &dir.join("released"), ""));
        let mut proxy = Proxy::start(&config.in_listener("reuseport", reuseport.into()));
        let answer = proxy.get_with("/", "X-Do: fork\r\nX-In: request_headers\r\n");
        assert_eq!(answer.status(), 200, "the parent goes on");
        let said = until("the parent's line", || {
            let logs = proxy.logs();
            logs.lines().find(|line| line.contains("forked 1 times, last by worker-")).map(str::to_owned)
        });
        assert!(said.contains("module libtrouble, filter libtrouble, on_request_headers"), "{said}");
        assert_eq!(proxy.get("/").status(), 200);
        let addresses = [proxy.address(), proxy.admin()];
        proxy.signal(Signal::KILL);
        proxy.wait_exit();
        // The child lives, and has none of them.
        for address in addresses {
            let refused = TcpStream::connect(address).map_err(|error| error.kind());
            assert_eq!(refused.err(), Some(ErrorKind::ConnectionRefused), "{address}");
        }
        dir.write("released", "");
    }
}

#[test]
fn a_forked_child_does_not_keep_connections() {
    let module = Module::compile("trouble");
    let origin = Origin::echo();
    let dir = TempDir::new();
    let proxy = Proxy::start(&config(&origin, trouble(&module, &dir.join("released"), "")));
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-do: fork\r\nx-in: request_headers\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).expect("an end of the connection that the parent closed");
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
    dir.write("released", "");
}

#[test]
fn a_forked_child_that_goes_on_answers_nobody() {
    let module = Module::compile("trouble");
    let origin = Origin::echo();
    let config = config(&origin, trouble(&module, Path::new(NEVER), ""));
    let proxy = Proxy::start_with(&config, &ProxyOptions { workers: Some(1), ..ProxyOptions::default() });
    for _ in 0..3 {
        let answer = proxy.get_with("/", "X-Do: fork_on\r\nX-In: request_headers\r\n");
        assert_eq!(answer.status(), 200);
        for _ in 0..10 {
            assert_eq!(proxy.get("/").status(), 200, "{}", proxy.logs());
        }
    }
    assert_eq!(origin.count(), 33, "each was asked once");
}

#[test]
fn a_destructor_that_crashes_at_the_very_end_is_located() {
    let origin = Origin::echo();
    let module = Module::compile_with("tests/modules/trouble.c", &["-DDESTRUCTOR=\"overflow\""]);
    let dir = TempDir::new();
    let config = config(&origin, trouble(&module, Path::new(NEVER), "")).build(dir.path());
    let file = dir.write("config.json", config.to_string());
    let outcome = sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str()]);
    assert_eq!(outcome.code, None, "{}", outcome.output());
    let said = line(&outcome.stderr);
    assert!(said.starts_with("sidegate: SIGSEGV (") && said.contains(", at libtrouble+0x"), "{said}");
}
