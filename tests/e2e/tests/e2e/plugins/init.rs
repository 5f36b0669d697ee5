//! Sidegate as the first process of a container: process 1 of its namespace.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sidegate_harness::{Client, Origin, TempDir, binary, until};

use super::{asks, config, is_alive};

/// A namespace of its own, whose first process is Sidegate.
struct Container {
    unshare: Child,
    dir: TempDir,
    ready: Value,
}

impl Container {
    /// `None` where nobody may make namespaces.
    fn start(origin: &Origin) -> Option<Container> {
        let tried = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output();
        if !tried.is_ok_and(|tried| tried.status.success()) {
            eprintln!("not tried: namespaces of processes cannot be made");
            return None;
        }
        let dir = TempDir::new();
        let file = dir.write("config.json", config(origin, "", json!({})).build(dir.path()).to_string());
        let ready = dir.join("ready.json");
        let unshare = Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
            .arg(binary())
            .args(["run", "--workers", "1", "-c"])
            .arg(file)
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(File::create(dir.join("stdout.log")).unwrap())
            .stderr(File::create(dir.join("stderr.log")).unwrap())
            .spawn()
            .unwrap();
        let mut container = Container { unshare, dir, ready: Value::Null };
        container.ready = until("the ready file", || {
            let text = std::fs::read_to_string(&ready).ok()?;
            serde_json::from_str(&text).ok()
        });
        Some(container)
    }

    /// Process 1 as it is called outside.
    fn init(&self) -> u64 {
        child_of(u64::from(self.unshare.id())).expect("a first process")
    }

    fn client(&self) -> Client {
        let address: SocketAddr = self.ready["listeners"]["main"].as_str().unwrap().parse().unwrap();
        Client::to(address)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.init() as i32).unwrap(), signal).unwrap();
    }

    fn ends(&mut self) -> ExitStatus {
        until("the end of the namespace", || self.unshare.try_wait().unwrap())
    }

    fn logs(&self) -> String {
        let files = std::fs::read_dir(self.dir.path()).unwrap().flatten().map(|entry| entry.path());
        let logs = files.filter(|path| path.extension().is_some_and(|end| end == "log"));
        logs.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}

fn child_of(pid: u64) -> Option<u64> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Children of a process that have ended and that nobody has asked after.
fn zombies_of(parent: u64) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let is_one = |pid: &u64| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| {
            let mut words = rest.split(' ');
            words.next() == Some("Z") && words.next().and_then(|word| word.parse().ok()) == Some(parent)
        })
    };
    all.filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok()).filter(is_one).count()
}

#[test]
fn its_plugins_have_another_parent_and_orphans_are_reaped() {
    let origin = Origin::echo();
    let Some(mut container) = Container::start(&origin) else { return };
    let pid = container.ready["pid"].as_u64().unwrap();
    assert_ne!(pid, 1);
    let mut client = container.client();
    assert_eq!(client.call(&asks("parent,orphan")).status(), 200);
    assert_eq!(origin.last().head.get("x-parent"), Some(&*pid.to_string()));
    let init = container.init();
    let sidegate = child_of(init).expect("the process proper");
    until("nobody waits for the init", || (zombies_of(init) == 0).then_some(()));
    assert_eq!(client.call(&asks("deny")).status(), 403);
    drop(client);
    // A signal to the container is one to the process.
    container.signal(Signal::HUP);
    until("a reload", || container.logs().contains("read again").then_some(()));
    container.signal(Signal::TERM);
    assert_eq!(container.ends().code(), Some(0), "{}", container.logs());
    assert!(!is_alive(init) && !is_alive(sidegate));
}

#[test]
fn its_end_is_the_end_of_the_container() {
    let origin = Origin::echo();
    let Some(mut container) = Container::start(&origin) else { return };
    let sidegate = child_of(container.init()).expect("the process proper");
    let mut client = container.client();
    assert_eq!(client.call(&asks("escape")).status(), 200);
    kill_process(Pid::from_raw(sidegate as i32).unwrap(), Signal::KILL).unwrap();
    // As shells say it, and nobody is left: not even who was in no group.
    assert_eq!(container.ends().code(), Some(128 + 9), "{}", container.logs());
    assert!(!is_alive(sidegate));
}

#[test]
fn what_it_ends_with_is_passed_on() {
    let dir = TempDir::new();
    let file = dir.write("config.json", "{}}");
    let run = |first: &[&str]| {
        let mut command = Command::new(first[0]);
        command.args(&first[1..]).args(["run", "-c"]).arg(&file);
        command.output().ok()
    };
    let own = binary().display().to_string();
    let plain = run(&[&own]).expect("the binary");
    let Some(inside) = run(&["unshare", "--pid", "--fork", "--mount-proc", &own]) else { return };
    if String::from_utf8_lossy(&inside.stderr).contains("unshare failed") {
        return;
    }
    assert_eq!((inside.status.code(), &inside.stderr), (plain.status.code(), &plain.stderr));
}
