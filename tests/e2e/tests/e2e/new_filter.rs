//! `sidegate new-filter`: what it writes builds, tests itself, runs, and is
//! replaced when a source is saved.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
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
    // One folder for all runs: what others wrote is built once.
    make.env("CARGO_TARGET_DIR", built());
    for cache in ["GOCACHE", "GOMODCACHE", "ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"] {
        make.env(cache, built().join(cache.to_lowercase()));
    }
    make
}

fn built() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-filter")
}

/// A filter of a template, and what is changed in it.
struct Tried<'a> {
    folder: &'a Path,
    /// Variables of make.
    variables: &'a [String],
    source: &'a str,
    from: &'a str,
    to: &'a str,
}

/// What the ready file says of the process that wrote it.
fn ready(file: &Path) -> Option<(u64, SocketAddr)> {
    let said: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    Some((said["pid"].as_u64()?, said["listeners"]["ingress"].as_str()?.parse().ok()?))
}

/// Asks for `path`, unless nobody listens.
fn get(address: SocketAddr, path: &str) -> Option<Message> {
    TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    Some(Wire::connect(address).send(request).response())
}

fn on_free_ports(folder: &Path) {
    let config = folder.join("config.yaml");
    let text = fs::read_to_string(&config).unwrap().replace("127.0.0.1:2046", "127.0.0.1:0");
    fs::write(&config, text.replace("port_value: 34901", "port_value: 0")).unwrap();
}

/// Starts `make run`, whose output goes to `run.log`.
fn run(folder: &Path, variables: &[String]) -> Running {
    let mut run = make(folder, &["run", &format!("RUN=--ready-file {}", folder.join("ready.json").display())]);
    let log = fs::File::create(folder.join("run.log")).unwrap();
    run.args(variables).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
    Running(run.spawn().unwrap())
}

/// Builds and runs the filter, changes `source` and sees the change. Says
/// whether it came without a new process.
#[track_caller]
fn works(tried: &Tried<'_>) -> bool {
    let folder = tried.folder;
    let made = make(folder, &[]).args(tried.variables).output().unwrap();
    assert!(
        made.status.success(),
        "{}{}",
        String::from_utf8_lossy(&made.stdout),
        String::from_utf8_lossy(&made.stderr)
    );

    on_free_ports(folder);
    let _running = run(folder, tried.variables);
    let file = folder.join("ready.json");
    let (first, address) = until("the proxy to listen", || ready(&file));
    let hello = get(address, "/hello").unwrap();
    assert_eq!((hello.status(), hello.body.as_slice()), (200, &b"hello\n"[..]));
    assert_eq!(get(address, "/").unwrap().body, b"not said hello\n");

    let source = folder.join(tried.source);
    let text = fs::read_to_string(&source).unwrap();
    assert!(text.contains(tried.from), "{text}");
    fs::write(&source, text.replace(tried.from, tried.to)).unwrap();
    until("the changed filter to answer", || {
        let (pid, address) = ready(&file)?;
        // One that is about to end may not answer.
        let stays = pid == first && !restarts(folder);
        let asked = stays || pid != first;
        (asked && get(address, "/hello")?.status() == 201).then_some(stays)
    })
}

/// Whether `make run` starts a new process for a new module.
fn restarts(folder: &Path) -> bool {
    fs::read_to_string(folder.join("Makefile")).unwrap().contains("RELOAD=restart")
}

#[test]
fn a_filter_in_c() {
    let dir = TempDir::new();
    let folder = dir.path().join("greeter");
    let outcome = new_filter(&folder, &["--lang", "c"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    assert!(works(&Tried {
        folder: &folder,
        variables: &[],
        source: "filter.c",
        from: "hook->stream, 200,",
        to: "hook->stream, 201,"
    }));
}

#[test]
fn a_filter_in_cpp() {
    let dir = TempDir::new();
    let folder = dir.path().join("greeter");
    let outcome = new_filter(&folder, &["--lang", "cpp"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    assert!(works(&Tried {
        folder: &folder,
        variables: &[],
        source: "filter.cpp",
        from: "Reply::text(200,",
        to: "Reply::text(201,"
    }));
}

#[test]
fn a_filter_in_rust() {
    let dir = TempDir::new();
    let folder = dir.path().join("greeter");
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ffi-api/sdk");
    let outcome = new_filter(&folder, &["--sdk", sdk.to_str().unwrap()]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    assert!(works(&Tried {
        folder: &folder,
        variables: &[],
        source: "src/lib.rs",
        from: "Reply::text(200,",
        to: "Reply::text(201,"
    }));
}

/// The command of a compiler that not everybody has, if it is there. Where it is
/// missing this is said past libtest, which shows nothing of tests that pass;
/// with `SIDEGATE_TEST_COMPILERS=all` it fails.
fn compiler(variable: &str, commands: &[&[&str]]) -> Option<String> {
    let said = std::env::var(variable).ok().filter(|command| !command.is_empty());
    let mut all = said.iter().map(|command| command.split_whitespace().collect()).collect::<Vec<Vec<&str>>>();
    all.extend(commands.iter().map(|command| command.to_vec()));
    let works = |command: &&Vec<&str>| {
        let asked = Command::new(command[0]).args(&command[1..]).arg("version").output();
        asked.is_ok_and(|outcome| outcome.status.success())
    };
    let found = all.iter().find(works).map(|command| command.join(" "));
    if found.is_none() {
        let why = format!("SKIPPED: no {}: the template for it was not tried", commands[0].join(" "));
        assert!(std::env::var_os("SIDEGATE_TEST_COMPILERS").is_none_or(|asked| asked != "all"), "{why}");
        let _ = writeln!(std::io::stderr(), "{why}");
    }
    found
}

#[test]
fn a_filter_in_go() {
    let Some(go) = compiler("GO", &[&["go"]]) else { return };
    let dir = TempDir::new();
    let folder = dir.path().join("greeter");
    let outcome = new_filter(&folder, &["--lang", "go"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    assert!(outcome.stdout.contains("a new build of it needs a restart"), "{}", outcome.output());
    let variables = [format!("GO={go}")];
    let (from, to) = ("stream.Reply(200,", "stream.Reply(201,");
    let stayed = works(&Tried { folder: &folder, variables: &variables, source: "filter.go", from, to });
    assert!(!stayed);
    let log = fs::read_to_string(folder.join("run.log")).unwrap();
    assert!(log.contains("starting the proxy again") && !log.contains("ERROR"), "{log}");
    a_second_go_runtime_is_refused(&folder);
    a_panic_in_go_fails_the_request(&folder, &variables);
}

/// Two modules in Go in one process, and a new build of one that is loaded.
#[track_caller]
fn a_second_go_runtime_is_refused(folder: &Path) {
    let second = folder.join("second.so");
    fs::copy(folder.join("libgreeter.so"), &second).unwrap();
    // Behind the end of what is mapped: another file with the same code.
    fs::OpenOptions::new().append(true).open(&second).unwrap().write_all(b"\n").unwrap();
    let text = fs::read_to_string(folder.join("config.yaml")).unwrap();
    let line = "          - type: loadso\n";
    let more = format!(
        "{line}            name: second\n            so_config: {{ so_path: ./second.so, filter: greeter }}\n            \
         config: {{ greeting: second }}\n"
    );
    let config = folder.join("two.yaml");
    fs::write(&config, text.replacen(line, &format!("{more}{line}"), 1)).unwrap();
    let outcome = sidegate(["run".as_ref(), "-c".as_ref(), config.as_os_str()]);
    let said = "found the Go runtime in it: a process holds one and never lets it go";
    assert!(outcome.code == Some(1) && outcome.stderr.contains(said), "{}", outcome.output());
    assert!(outcome.stderr.contains("has brought it already"), "{}", outcome.output());
}

#[track_caller]
fn a_panic_in_go_fails_the_request(folder: &Path, variables: &[String]) {
    let source = folder.join("filter.go");
    let text = fs::read_to_string(&source).unwrap();
    let panics =
        "\tif stream.Path() == \"/panic\" {\n\t\tvar none *Greeter\n\t\treturn stream.Reply(200, none.Greeting)\n\t}\n";
    let hook = "\tif stream.Path() != \"/hello\" {\n";
    fs::write(&source, text.replacen(hook, &format!("{panics}{hook}"), 1)).unwrap();
    fs::remove_file(folder.join("ready.json")).unwrap();
    let _running = run(folder, variables);
    let (_, address) = until("the proxy to listen", || ready(&folder.join("ready.json")));
    assert_eq!(get(address, "/panic").unwrap().status(), 500);
    assert_eq!(get(address, "/hello").unwrap().status(), 201);
    // Lines are written by a thread of the proxy's own.
    until("the panic in the log", || {
        let log = fs::read_to_string(folder.join("run.log")).ok()?;
        log.contains("panicked: runtime error: invalid memory address").then_some(())
    });
}

#[test]
fn a_filter_in_zig() {
    let Some(zig) = compiler("ZIG", &[&["zig"], &["python3", "-m", "ziglang"]]) else { return };
    let dir = TempDir::new();
    let folder = dir.path().join("greeter");
    let outcome = new_filter(&folder, &["--lang", "zig"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    assert!(outcome.stdout.contains("panic_abort"), "{}", outcome.output());
    // Optimized code would take a minute of a busy machine.
    let variables = [format!("ZIG={zig}"), "MODE=Debug".to_owned()];
    let (from, to) = ("stream.reply(200,", "stream.reply(201,");
    assert!(works(&Tried { folder: &folder, variables: &variables, source: "filter.zig", from, to }));
    let module = folder.join("libgreeter.so");
    let inspected = sidegate([OsStr::new("inspect"), module.as_os_str()]);
    // What is not permitted is refused, with that reason.
    assert!(inspected.output().contains("a panic would end the proxy"), "{}", inspected.output());
}

/// What is sent to the group of `make run` must not reach the makes and compilers
/// under it, which end all the same.
#[test]
fn what_make_run_started_ends_with_it_and_hears_no_signals_for_its_group() {
    let dir = TempDir::new();
    let folder = dir.path().join("greeter");
    assert_eq!(new_filter(&folder, &["--lang", "c"]).code, Some(0));
    on_free_ports(&folder);
    // A compiler that takes for ever, and tells its number and its group.
    let compiler = folder.join("cc.sh");
    fs::write(&compiler, "read -r pid _ _ _ group _ </proc/self/stat\necho $$ $group >>compiling\nexec sleep 600\n")
        .unwrap();
    let slow = [format!("CC=sh {}", compiler.display())];
    let compiling = |number: usize| {
        until("the compiler to run", || {
            let told = fs::read_to_string(folder.join("compiling")).ok()?;
            let line = told.lines().nth(number)?.split_once(' ')?;
            Some((line.0.parse::<u32>().ok()?, line.1.parse::<u32>().ok()?))
        })
    };
    let ends = |mut running: Running, (compiler, group): (u32, u32)| {
        assert_ne!(group, running.0.id(), "in the group of `make run`");
        let all = format!("-{}", running.0.id());
        assert!(Command::new("kill").args(["-TERM", "--", &all]).status().unwrap().success());
        until("make to end", || running.0.try_wait().unwrap());
        let there = |pid: u32| Path::new("/proc").join(pid.to_string()).exists();
        until("the compiler to end", || (!there(compiler)).then_some(()));
    };
    // The first build, and one while the proxy runs.
    let running = run(&folder, &slow);
    ends(running, compiling(0));
    assert!(!folder.join("ready.json").exists());
    assert!(make(&folder, &["libgreeter.so"]).output().unwrap().status.success());
    let running = run(&folder, &slow);
    let (pid, _) = until("the proxy to listen", || ready(&folder.join("ready.json")));
    let source = folder.join("filter.c");
    fs::write(&source, fs::read_to_string(&source).unwrap()).unwrap();
    ends(running, compiling(1));
    until("the proxy to end", || (!Path::new("/proc").join(pid.to_string()).exists()).then_some(()));
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
    let outcome = sidegate(["new-filter", "match"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("a word of Rust"), "{}", outcome.output());
    // A link that leads nowhere is there too.
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    let outcome = new_filter(&link, &[]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("name another --folder"), "{}", outcome.output());
}

/// crates.io may not have the SDK yet.
#[test]
fn who_has_no_sdk_is_told_where_it_is() {
    let dir = TempDir::new();
    let folder = dir.path().join("greeter");
    let outcome = new_filter(&folder, &[]);
    assert!(outcome.code == Some(0) && outcome.stdout.contains("`--sdk DIR`"), "{}", outcome.output());
    let made = make(&folder, &["CARGO=false"]).output().unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(!made.status.success() && said.contains("ffi-api/sdk of a checkout"), "{said}");
    assert!(fs::read_to_string(folder.join("README.md")).unwrap().contains("[patch.crates-io]"));
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ffi-api/sdk");
    let outcome = new_filter(&dir.path().join("other"), &["--sdk", sdk.to_str().unwrap()]);
    assert!(outcome.code == Some(0) && !outcome.stdout.contains("--sdk"), "{}", outcome.output());
}
