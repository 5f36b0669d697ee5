//! One table of behaviour, for the same five filters built by every compiler
//! and language there is: see `tests/abi`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sidegate_harness::{
    ConfigBuilder, Origin, Proxy, Reply, TempDir, WireError, artifact, repository, run, sidegate, until,
};

use super::{counter, entry};

/// Files that have the five filters between them, built in one way.
pub struct Built {
    pub how: String,
    /// Of each filter the file it is in.
    file: Box<dyn Fn(&str) -> PathBuf>,
}

impl Built {
    /// All five in one file.
    pub fn one(how: &str, file: PathBuf) -> Self {
        Built { how: how.to_owned(), file: Box::new(move |_| file.clone()) }
    }

    /// The four files of `tests/abi/v1.0/c`, compiled into `dir`.
    pub fn four(how: &str, dir: PathBuf) -> Self {
        let file = move |filter: &str| {
            let source = if filter == "whole" || filter == "stream" { "body" } else { filter };
            dir.join(format!("lib{source}.so"))
        };
        Built { how: how.to_owned(), file: Box::new(file) }
    }

    fn entry(&self, filter: &str, config: Value) -> Value {
        let mut entry = entry(&(self.file)(filter), filter, &json!({"name": "conform"}));
        entry["config"] = config;
        entry
    }

    /// Everything that must hold.
    pub fn behaves(&self) {
        self.guard_answers();
        self.guard_faults_and_terminates();
        self.wrong_configurations_are_refused();
        self.bodies_become_capitals("whole");
        self.bodies_become_capitals("stream");
        self.waiting_streams_go_on();
        self.workers_streams_and_routes_have_their_own();
    }

    fn guard_answers(&self) {
        let origin = Origin::echo();
        let filter = self.entry("guard", json!({"user": "admin"}));
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter));
        for (fields, status) in [
            ("", 403),
            ("User: admin\r\n", 200),
            ("USER: admin\r\n", 200),
            ("User: Admin\r\n", 403),
            ("User: admin2\r\n", 403),
            ("User: guest\r\nUser: admin\r\n", 200),
        ] {
            let got = proxy.get_with("/", fields);
            assert_eq!(got.status(), status, "{}: {fields:?}", self.how);
            if status == 403 {
                assert_eq!(got.text(), "forbidden\n", "{}", self.how);
                assert_eq!(got.header("content-type"), Some("text/plain; charset=utf-8"), "{}", self.how);
            }
        }
        assert_eq!(origin.count(), 3, "{}", self.how);
    }

    fn guard_faults_and_terminates(&self) {
        let origin = Origin::echo();
        let filter = self.entry("guard", json!({"user": "admin"}));
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter));
        assert_eq!(proxy.get_with("/fault", "X-Fault: yes\r\n").status(), 500, "{}", self.how);
        until("the fault in the log", || proxy.logs().contains("asked for a fault").then_some(()));
        let mut client = proxy.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Terminate: yes\r\n\r\n");
        let got = client.try_response("GET");
        assert!(matches!(got, Err(WireError::Closed | WireError::Reset)), "{}: {got:?}", self.how);
        assert_eq!(proxy.get_with("/", "User: admin\r\n").status(), 200, "{}", self.how);
    }

    fn wrong_configurations_are_refused(&self) {
        let refused = |filter: Value, wanted: &[&str]| {
            let dir = TempDir::new();
            let config = ConfigBuilder::empty().filter(filter).build(dir.path());
            let file = dir.write("config.json", config.to_string());
            let outcome = sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str()]);
            let output = outcome.output();
            assert_eq!(outcome.code, Some(1), "{}: {output}", self.how);
            for text in wanted {
                assert!(output.contains(text), "{}: no {text:?} in {output}", self.how);
            }
        };
        refused(self.entry("guard", json!({"user": 5})), &["user", "expected a"]);
        let mut unknown = self.entry("guard", json!({"user": "admin"}));
        unknown["so_config"]["filter"] = "nobody".into();
        refused(unknown, &["nobody", "guard"]);
    }

    fn bodies_become_capitals(&self, filter: &str) {
        let origin = Origin::http(|seen| {
            let trailers: Vec<_> = seen.trailers.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let body = String::from_utf8_lossy(&seen.body).into_owned();
            Reply::ok(format!("{body} {}", trailers.join(","))).chunked()
        });
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(self.entry(filter, json!({}))));
        let post = "POST / HTTP/1.1\r\nHost: a\r\n";
        for (framing, wanted) in [
            ("Content-Length: 5\r\n\r\nhello", "HELLO! !"),
            ("Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "HELLO! !"),
            // Trailers follow the body, so no hook of the body is the last of its direction.
            ("Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n0\r\nX-Sum: 1\r\n\r\n", "HE X-SUM=1,X-CHECKED=YES!"),
        ] {
            let got = proxy.exchange(format!("{post}{framing}"));
            assert_eq!((got.status(), got.text().as_str()), (200, wanted), "{} {filter}: {framing:?}", self.how);
        }
    }

    fn waiting_streams_go_on(&self) {
        let origin = Origin::echo();
        let config = ConfigBuilder::to(origin.address()).filter(self.entry("wait", json!({})));
        let mut proxy = Proxy::start(&config);
        for how in ["later", "early", "twice"] {
            assert_eq!(proxy.get_with("/", &format!("X-Wait: {how}\r\n")).status(), 200, "{}: {how}", self.how);
            assert_eq!(origin.last().head.get("x-resumed"), Some("yes"), "{}: {how}", self.how);
        }
        assert_eq!(proxy.get("/").status(), 200, "{}", self.how);
        assert_eq!(origin.last().head.get("x-resumed"), None, "{}", self.how);
        let got = proxy.get_with("/", "X-Wait: reply\r\n");
        assert_eq!((got.status(), got.text().as_str()), (202, "resumed"), "{}", self.how);
        // The module joins its thread when its factory is destroyed.
        proxy.signal(sidegate_harness::Signal::TERM);
        assert_eq!(proxy.wait_exit().code(), Some(0), "{}", self.how);
    }

    fn workers_streams_and_routes_have_their_own(&self) {
        let origin = Origin::echo();
        let routes = json!([
            {"match": {"prefix": "/own"}, "route": {"cluster_name": "origin"}, "per_filter_config": {"conform": {"a": 1}}},
            {"match": {"prefix": "/none"}, "direct_response": {"status": 404}},
            {"match": {"prefix": "/"}, "route": {"cluster_name": "origin"}}
        ]);
        let config = ConfigBuilder::to_routes(origin.address(), routes).filter(self.entry("worker", json!({})));
        let proxy = Proxy::start(&config);
        // Of one connection, so of one worker.
        let mut client = proxy.connect();
        for (nth, (path, saw, route)) in [
            ("/own?q", "GET /own 200", Some("{\"a\":1}")),
            ("/other", "GET /other 200", None),
            ("/none", "GET /none 404", None),
        ]
        .into_iter()
        .enumerate()
        {
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let got = client.response();
            assert_eq!(got.header("x-nth"), Some((nth + 1).to_string().as_str()), "{}", self.how);
            assert_eq!(got.header("x-saw"), Some(saw), "{}", self.how);
            assert_eq!(got.header("x-named"), Some("shared"), "{}", self.how);
            assert_eq!(got.header("x-route"), route, "{}", self.how);
        }
        until("the counts", || (counter(&proxy, "completed") == 2).then_some(()));
        assert_eq!(counter(&proxy, "seen"), 3, "{}", self.how);
    }
}

/// Runs a compiler in the repository.
fn compile(command: &mut Command) {
    let outcome = run(command.current_dir(repository()));
    assert_eq!(outcome.code, Some(0), "{command:?}: {}", outcome.output());
}

fn compile_c(compiler: &str, language: &[&str], dir: &Path) {
    for source in ["guard", "body", "wait", "worker"] {
        compile(
            Command::new(compiler)
                .args(language)
                .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-I", "tests/abi/v1.0/include", "-o"])
                .arg(dir.join(format!("lib{source}.so")))
                .arg(format!("tests/abi/v1.0/c/{source}.c"))
                .arg("-lpthread"),
        );
    }
}

#[test]
fn modules_in_c_written_for_1_0_work() {
    let dir = TempDir::new();
    compile_c("cc", &["-std=gnu11"], dir.path());
    Built::four("cc", dir.path().to_owned()).behaves();
}

#[test]
fn a_module_in_rust_written_for_1_0_works() {
    let dir = TempDir::new();
    let (tables, module) = (dir.join("libsidegate_abi.rlib"), dir.join("libconform.so"));
    let rustc = || {
        let mut command = Command::new("rustc");
        command.args(["--edition", "2021", "-O", "-Dwarnings"]);
        command
    };
    let kind = ["--crate-type", "rlib", "--crate-name", "sidegate_abi"];
    compile(rustc().args(kind).arg("-o").arg(&tables).arg("tests/abi/v1.0/rust/abi/lib.rs"));
    compile(
        rustc()
            .args(["--crate-type", "cdylib", "--crate-name", "conform"])
            .arg(format!("--extern=sidegate_abi={}", tables.display()))
            .arg("-o")
            .arg(&module)
            .arg("tests/abi/v1.0/rust/conform/lib.rs"),
    );
    Built::one("rustc", module).behaves();
}

#[test]
fn a_module_on_the_sdk_works() {
    Built::one("the SDK", artifact("libconform.so")).behaves();
}

#[test]
fn a_module_in_cpp_on_the_wrapper_works() {
    let dir = TempDir::new();
    let module = dir.join("libconform.so");
    compile(
        Command::new("c++")
            .args(["-std=c++17", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-fno-gnu-unique"])
            .args(["-I", "ffi-api/include", "-o"])
            .arg(&module)
            .args(["tests/abi/cpp/conform.cpp", "-pthread"]),
    );
    let seen = sidegate(["inspect".as_ref(), module.as_os_str()]);
    assert_eq!(seen.code, Some(0), "{}", seen.output());
    assert!(seen.stdout.contains("sidegate.hpp") && !seen.stdout.contains("not reloadable"), "{}", seen.output());
    Built::one("sidegate.hpp", module).behaves();
}

#[test]
fn what_was_frozen_stays_as_it_is() {
    let outcome = run(Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(repository().join("tests/abi/v1.0")));
    assert_eq!(outcome.code, Some(0), "see tests/abi/README.md: {}", outcome.output());
}
