//! Logs that set their files aside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Signal, TempDir, Wire, until};

/// A value so long that a few hundred lines of it fill a file of one MiB.
const FILLER: usize = 7000;

fn ask(client: &mut Wire, number: usize) {
    let filler = "x".repeat(FILLER);
    client.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\nFiller: {filler}\r\n\r\n"));
    assert_eq!(client.response().status(), 200);
}

fn logging_to(origin: &Origin, log: &Path, roller: &str) -> ConfigBuilder {
    let format = "%path% %request_header_filler%";
    ConfigBuilder::to(origin.address())
        .in_listener("access_logs", json!([{"log_path": log, "log_format": format, "log_roller": roller}]))
}

/// Files of the log, itself included.
fn files(log: &Path) -> Vec<PathBuf> {
    let name = log.file_name().unwrap().to_str().unwrap();
    let entries = std::fs::read_dir(log.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(name)).collect()
}

/// How often each request is in the files.
fn logged(files: &[PathBuf]) -> BTreeMap<usize, usize> {
    let mut logged = BTreeMap::new();
    for file in files {
        let shown = std::process::Command::new("gzip").arg("-cdf").arg(file).output().expect("gzip runs");
        assert!(shown.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&shown.stderr));
        let text = String::from_utf8(shown.stdout).unwrap();
        assert!(text.len() <= 1 << 20, "{} holds {} bytes", file.display(), text.len());
        for line in text.lines() {
            let (path, filler) = line.split_once(' ').unwrap_or_else(|| panic!("half a line: {line}"));
            assert_eq!(filler.len(), FILLER, "half a line in {}", file.display());
            *logged.entry(path[1..].parse().unwrap()).or_default() += 1;
        }
    }
    logged
}

#[test]
fn full_files_are_set_aside_and_compressed_without_a_lost_line() {
    const REQUESTS: usize = 500;
    let origin = Origin::echo();
    let dir = TempDir::new();
    let log = dir.join("access.log");
    let proxy = Proxy::start(&logging_to(&origin, &log, "size=1 keep=0 compress=on"));
    let mut clients = [proxy.connect(), proxy.connect()];
    for number in 0..REQUESTS {
        ask(&mut clients[number % 2], number);
        if number == REQUESTS / 3 {
            // Reopening finds the current file, which then goes on growing.
            proxy.signal(Signal::USR1);
        }
    }
    drop(clients);
    let expected: BTreeMap<usize, usize> = (0..REQUESTS).map(|number| (number, 1)).collect();
    until("every line in the log or in compressed files", || {
        let files = files(&log);
        let settled = files.iter().all(|file| *file == log || file.to_str().unwrap().ends_with("Z.gz"));
        (settled && files.len() >= 4 && logged(&files) == expected).then_some(())
    });
}

#[test]
fn only_so_many_files_are_kept() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let log = dir.join("access.log");
    // A stranger's file that looks almost like one of ours.
    let stranger = dir.write("access.log.2024-01-01", "mine");
    let proxy = Proxy::start(&logging_to(&origin, &log, "size=1 keep=2"));
    let mut client = proxy.connect();
    let of_rotation = || files(&log).into_iter().filter(|file| *file != log && *file != stranger).count();
    for number in 0..750 {
        ask(&mut client, number);
    }
    until("the last line and two files set aside", || {
        let text = std::fs::read_to_string(&log).ok()?;
        (text.contains("/749 ") && of_rotation() == 2).then_some(())
    });
    assert_eq!(std::fs::read_to_string(&stranger).unwrap(), "mine");
    let kept = logged(&files(&log).into_iter().filter(|file| *file != stranger).collect::<Vec<_>>());
    assert_eq!(kept.keys().next_back(), Some(&749), "the newest are kept");
    assert!(kept.len() < 600 && kept.keys().is_sorted() && kept.values().all(|count| *count == 1));
}

#[test]
fn a_log_moved_by_somebody_else_is_reopened() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let log = dir.join("access.log");
    let proxy = Proxy::start(&logging_to(&origin, &log, "time=24"));
    let mut client = proxy.connect();
    ask(&mut client, 0);
    until("the first line", || std::fs::read(&log).ok().filter(|bytes| bytes.ends_with(b"\n")));
    std::fs::rename(&log, dir.join("moved")).unwrap();
    ask(&mut client, 1);
    proxy.signal(Signal::USR1);
    until("the file to be made anew", || log.exists().then_some(()));
    ask(&mut client, 2);
    until("the last line", || std::fs::read(&log).ok().filter(|bytes| bytes.ends_with(b"\n")));
    assert_eq!(logged(&[dir.join("moved"), log]), BTreeMap::from([(0, 1), (1, 1), (2, 1)]));
}
