//! What a plugin may take of the machine, and who keeps that.

use std::path::{Path, PathBuf};

use serde_json::json;
use sidegate_harness::{Origin, Proxy, ProxyOptions, Signal, TempDir, binary, until};

use super::{asks, await_log, await_state, config, entry, faults, is_alive, pid_of, start, status};

/// A cgroup of version 2 that a test may do with as it likes; with it, all in
/// it ends. `None` where such cannot be made.
struct Cgroup(PathBuf);

impl Cgroup {
    fn make(name: &str) -> Option<Cgroup> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?.to_owned();
        let folder = Path::new(&mount).join(format!("sidegate-test-{name}-{}", std::process::id()));
        match std::fs::create_dir(&folder) {
            Ok(()) => Some(Cgroup(folder)),
            Err(error) => {
                eprintln!("not tried: {}: {error}", folder.display());
                None
            }
        }
    }

    fn below(&self) -> Vec<String> {
        let folders = std::fs::read_dir(&self.0).unwrap().flatten().filter(|entry| entry.path().is_dir());
        folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0.join("cgroup.kill"), "1");
        let mut left = 200;
        loop {
            for name in self.below() {
                let _ = std::fs::remove_dir(self.0.join(name));
            }
            left -= 1;
            if std::fs::remove_dir(&self.0).is_ok() || left == 0 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

fn child(proxy: &Proxy, origin: &Origin) -> u64 {
    assert_eq!(proxy.call(&asks("escape")).status(), 200);
    origin.last().head.get("x-child").expect("a child").parse().unwrap()
}

#[test]
fn one_that_takes_too_much_memory_is_started_again() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({"limits": {"memory": 128 << 20}, "restart_backoff": "0s"}));
    let limits = status(&proxy)["limits"].clone();
    assert_eq!(limits["memory"]["value"], 128 << 20);
    let by = limits["memory"]["by"].as_str().unwrap().to_owned();
    await_log(&proxy, "who keeps the plugin's limits");
    // What it may have costs it nothing.
    let first = pid_of(&status(&proxy));
    assert_eq!(proxy.call(&asks("eat=16")).status(), 200);
    assert_eq!(proxy.call(&asks("deny")).status(), 403);
    assert_eq!(pid_of(&status(&proxy)), first);
    proxy.call(&asks("eat=256"));
    until("its end", || (faults(&proxy, "memory") == 1.0).then_some(()));
    let up = until("another process", || {
        Some(status(&proxy)).filter(|status| status["state"] == "up" && pid_of(status) != first)
    });
    let why = up["last_error"].as_str().unwrap();
    assert!(why.contains(if by == "watch" { "bytes of memory, and may have" } else { "more memory" }), "{why}");
    assert_eq!(proxy.call(&asks("deny")).status(), 403);
}

#[test]
fn one_that_forks_too_much_is_bounded() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({"limits": {"tasks": 10}, "restart_backoff": "0s"}));
    let first = pid_of(&status(&proxy));
    let by = status(&proxy)["limits"]["tasks"]["by"].clone();
    let answer = proxy.call(&asks("fork=40")).status();
    if by == "cgroup" {
        assert_eq!(answer, 500);
        return;
    }
    until("its end", || (faults(&proxy, "tasks") == 1.0).then_some(()));
    await_log(&proxy, "processes and threads, and may have 10");
    until("another process", || {
        Some(status(&proxy)).filter(|status| status["state"] == "up" && pid_of(status) != first)
    });
    // Of its group nobody is left.
    until("the end of its children", || members_of(first).is_empty().then_some(()));
}

/// Processes of a group that are no zombies.
fn members_of(group: u64) -> Vec<u64> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
    let of_it = |pid: &u64| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let of = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(2)?.parse().ok());
        of == Some(group) && is_alive(*pid)
    };
    pids.filter(of_it).collect()
}

#[test]
fn one_may_be_held_to_a_part_of_the_processors() {
    let all = std::thread::available_parallelism().unwrap().get();
    if all == 1 {
        eprintln!("not tried: there is one processor");
        return;
    }
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({"limits": {"cpus": 0.5}}));
    let cpus = status(&proxy)["limits"]["cpus"].clone();
    if cpus["by"] == "cgroup" {
        assert_eq!(cpus["value"], 0.5);
        return;
    }
    assert_eq!(cpus, json!({"value": 1, "by": "affinity"}));
    assert_eq!(proxy.call(&asks("processors")).status(), 200);
    assert_eq!(origin.last().head.get("x-processors"), Some("1"));
}

#[test]
fn in_a_cgroup_nobody_gets_away() {
    let Some(cgroup) = Cgroup::make("named") else { return };
    let origin = Origin::echo();
    let more = json!({"limits": {"cgroup": cgroup.0, "memory": 1 << 30}, "restart_backoff": "0s"});
    let mut proxy = start(&origin, "", more);
    let folder = status(&proxy)["limits"]["cgroup"].as_str().unwrap().to_owned();
    assert!(Path::new(&folder).starts_with(&cgroup.0), "{folder}");
    let first = child(&proxy, &origin);
    assert_eq!(proxy.call(&asks("die")).status(), 500);
    until("the end of the child", || (!is_alive(first)).then_some(()));
    await_state(&proxy, "up");
    let second = child(&proxy, &origin);
    let inside = std::fs::read_to_string(format!("/proc/{second}/cgroup")).unwrap();
    assert!(inside.contains("sidegate-plugin."), "{inside}");
    proxy.signal(Signal::TERM);
    assert!(proxy.wait_exit().success());
    assert!(!is_alive(second));
    assert_eq!(cgroup.below(), Vec::<String>::new());
}

#[test]
fn a_cgroup_that_is_delegated_is_found_and_swept() {
    let Some(cgroup) = Cgroup::make("delegated") else { return };
    let marked = rustix::fs::setxattr(&cgroup.0, "user.delegate", b"1", rustix::fs::XattrFlags::empty());
    if let Err(error) = marked {
        eprintln!("not tried: marks of cgroups: {error}");
        return;
    }
    // As systemd starts it.
    let dir = TempDir::new();
    let script = dir.write(
        "inside",
        format!("#!/bin/sh\necho $$ > {}/cgroup.procs\nexec {} \"$@\"\n", cgroup.0.display(), binary().display()),
    );
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let options = ProxyOptions { binary: Some(script), ..ProxyOptions::default() };
    let origin = Origin::echo();
    let mut proxy = Proxy::start_with(&config(&origin, "", json!({})), &options);
    let folder = status(&proxy)["limits"]["cgroup"].as_str().expect("a cgroup").to_owned();
    assert!(Path::new(&folder).starts_with(&cgroup.0), "{folder}");
    // Killed, it can end its plugin by the kernel alone, and nobody else.
    let (plugin, escaped) = (pid_of(&status(&proxy)), child(&proxy, &origin));
    proxy.signal(Signal::KILL);
    proxy.wait_exit();
    until("the end of the plugin", || (!is_alive(plugin)).then_some(()));
    assert!(is_alive(escaped));
    // The next one does.
    let mut proxy = Proxy::start_with(&config(&origin, "", json!({})), &options);
    until("the end of its child", || (!is_alive(escaped)).then_some(()));
    proxy.signal(Signal::TERM);
    assert!(proxy.wait_exit().success());
    assert_eq!(cgroup.below().iter().filter(|name| name.starts_with("sidegate-plugin")).count(), 0);
}

#[test]
fn what_is_no_cgroup_is_a_failed_start() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let more = json!({"limits": {"cgroup": dir.path()}, "restart_backoff": "1h", "restart_backoff_max": "1h"});
    let proxy = start(&origin, "", more);
    let down = await_state(&proxy, "down");
    assert!(down["last_error"].as_str().unwrap().contains("no cgroup of version 2"), "{down}");
    assert_eq!(faults(&proxy, "start"), 1.0);
}

#[test]
fn files_among_arguments_begin_at_the_configurations_folder() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    dir.write("beside.txt", "there");
    std::fs::create_dir(dir.join("folder")).unwrap();
    dir.write("folder/below.txt", "there");
    let elsewhere = TempDir::new();
    for (argument, more) in [
        ("beside.txt", json!({})),
        ("folder/below.txt", json!({"directory": "."})),
        ("below.txt", json!({"directory": "folder"})),
        ("below.txt", json!({"directory": dir.join("folder")})),
    ] {
        let mut filter = entry("reads", more);
        filter["config"]["args"] = json!(["reads", argument]);
        let file = sidegate_harness::ConfigBuilder::to(origin.address()).filter(filter).build(dir.path());
        let file = dir.write("config.json", file.to_string());
        let options = ProxyOptions { directory: Some(elsewhere.path().to_path_buf()), ..ProxyOptions::default() };
        let proxy = Proxy::run(TempDir::new(), &file, &options);
        assert_eq!(proxy.call(&asks("where")).status(), 200, "{argument}: {}", proxy.logs());
        let stands = origin.last().head.get("x-where").unwrap().to_owned();
        assert!(stands.starts_with(&*std::fs::canonicalize(dir.path()).unwrap().to_string_lossy()), "{stands}");
    }
}
