//! Console blocks, run: the commands of a page, in order, in one folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use sidegate_harness::{Origin, Proxy, ProxyOptions, Signal, TempDir, artifact, binary, repository, run};

use super::blocks::Block;

/// One page's folder, and what runs in it.
pub struct Session {
    dir: TempDir,
    origin: Origin,
    proxy: Option<Proxy>,
    /// Name of the crate that the page writes.
    package: Option<String>,
    /// Addresses that the page names and those that they are here.
    addresses: Vec<(String, String)>,
}

impl Session {
    pub fn new() -> Session {
        let origin = Origin::echo();
        let addresses = vec![("127.0.0.1:8080".to_owned(), origin.address().to_string())];
        Session { dir: TempDir::new(), origin, proxy: None, package: None, addresses }
    }

    /// The folder that commands run in.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Takes the next block: writes a file or runs commands.
    pub fn take(&mut self, block: &Block) {
        self.take_file(block);
        if block.language == "console" {
            for (command, expected) in commands(block) {
                self.command(&command, &expected, &block.place());
            }
        }
    }

    /// Writes the file that the block shows, if it is one.
    pub fn take_file(&mut self, block: &Block) {
        if let Some(name) = block.noted("file") {
            let path = self.dir.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{}\n", block.content)).unwrap();
            if name == "Cargo.toml" {
                let name = block.content.lines().find_map(|line| line.strip_prefix("name = "));
                self.package = name.map(|name| name.trim_matches('"').to_owned());
            }
        }
    }

    fn command(&mut self, command: &str, expected: &[&str], place: &str) {
        let program = command.split_whitespace().next().unwrap_or_default();
        match program {
            "cargo" => return self.cargo(command, place),
            "kill" => return self.kill(place),
            "sidegate" if command.ends_with('&') => return self.start(command, place),
            "gdb" | "valgrind" if !installed(program) => {
                eprintln!("skipped: {program} is not installed ({place})");
                return;
            }
            _ => {}
        }
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{} 2>&1", self.moved(command))).current_dir(self.dir.path());
        let path = std::env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{}:{path}", binary().parent().unwrap().display()));
        shell.env("SIDEGATE", repository());
        let outcome = run(&mut shell);
        let seen = outcome.stdout.replace('\r', "");
        if program == "gdb" && seen.contains("Operation not permitted") {
            eprintln!("skipped: this machine lets nobody debug ({place})");
            return;
        }
        let seen: Vec<&str> = seen.lines().collect();
        assert!(
            matches(expected, &seen),
            "{place}: $ {command}\nexpected:\n{}\nfound (exit code {:?}):\n{}",
            expected.join("\n"),
            outcome.code,
            seen.join("\n")
        );
    }

    /// The workspace has built and tested the crate that the page shows; that
    /// it is the same is checked elsewhere.
    fn cargo(&mut self, command: &str, place: &str) {
        if command == "cargo build --release" {
            let package = self.package.as_ref().unwrap_or_else(|| panic!("{place}: the page has no Cargo.toml"));
            let library = format!("lib{}.so", package.replace('-', "_"));
            let folder = self.dir.join("target/release");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::copy(artifact(&library), folder.join(library)).unwrap();
        } else {
            assert!(matches!(command, "cargo test"), "{place}: nobody runs `{command}`");
        }
    }

    /// `sidegate run -c FILE &`, on ports that are free.
    fn start(&mut self, command: &str, place: &str) {
        let file = command.split_whitespace().skip_while(|word| *word != "-c").nth(1);
        let file = self.dir.join(file.unwrap_or_else(|| panic!("{place}: no -c in {command}")));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{place}: {}: {e}", file.display()));
        let text = text
            .replace("127.0.0.1:8080", &self.origin.address().to_string())
            .replace("127.0.0.1:2046", "127.0.0.1:0")
            .replace("34901", "0");
        std::fs::write(&file, text).unwrap();
        let options = ProxyOptions { directory: Some(PathBuf::from(self.dir.path())), ..ProxyOptions::default() };
        let proxy = Proxy::run(TempDir::new(), &file, &options);
        self.addresses.truncate(1);
        self.addresses.push(("127.0.0.1:2046".to_owned(), proxy.listener("ingress").to_string()));
        self.addresses.push(("127.0.0.1:34901".to_owned(), proxy.admin().to_string()));
        self.addresses.push(("$PID".to_owned(), proxy.pid().to_string()));
        self.proxy = Some(proxy);
    }

    /// `kill %1`
    fn kill(&mut self, place: &str) {
        let mut proxy = self.proxy.take().unwrap_or_else(|| panic!("{place}: nothing runs"));
        proxy.signal(Signal::TERM);
        assert_eq!(proxy.wait_exit().code(), Some(0), "{place}");
    }

    fn moved(&self, command: &str) -> String {
        self.addresses.iter().fold(command.to_owned(), |command, (from, to)| command.replace(from, to))
    }
}

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Commands of a console block, each with the output that is shown. A command
/// goes on after a backslash at the end of its line.
fn commands(block: &Block) -> Vec<(String, Vec<&str>)> {
    let mut found: Vec<(String, Vec<&str>)> = Vec::new();
    let mut lines = block.content.lines();
    while let Some(line) = lines.next() {
        if let Some(command) = line.strip_prefix("$ ") {
            let mut command = command.to_owned();
            while command.ends_with('\\') {
                command.pop();
                command.push_str(lines.next().unwrap_or_default().trim_start());
            }
            found.push((command, Vec::new()));
        } else {
            let last = found.last_mut().unwrap_or_else(|| panic!("{}: output before a command", block.place()));
            last.1.push(line);
        }
    }
    found
}

/// Whether `seen` is what the page shows: `…` stands for anything within a
/// line, alone for any lines.
fn matches(expected: &[&str], seen: &[&str]) -> bool {
    match (expected, seen) {
        ([], []) => true,
        ([], _) => false,
        (["…", rest @ ..], _) => (0..=seen.len()).any(|skipped| matches(rest, &seen[skipped..])),
        ([line, rest @ ..], [found, others @ ..]) => line_matches(line, found) && matches(rest, others),
        (_, []) => false,
    }
}

fn line_matches(expected: &str, found: &str) -> bool {
    let Some((head, tail)) = expected.split_once('…') else { return expected == found };
    let Some(rest) = found.strip_prefix(head) else { return false };
    rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| line_matches(tail, &rest[at..]))
}

#[test]
fn shown_output_is_compared_line_by_line() {
    for (expected, seen, same) in [
        (vec![], vec![], true),
        (vec![], vec!["a"], false),
        (vec!["a"], vec!["a"], true),
        (vec!["a"], vec!["ab"], false),
        (vec!["a…"], vec!["ab"], true),
        (vec!["a…c"], vec!["abc"], true),
        (vec!["a…c"], vec!["abcd"], false),
        (vec!["…"], vec![], true),
        (vec!["a", "…", "z"], vec!["a", "b", "c", "z"], true),
        (vec!["a", "…", "z"], vec!["a", "b", "c"], false),
    ] {
        assert_eq!(matches(&expected, &seen), same, "{expected:?} {seen:?}");
    }
}
