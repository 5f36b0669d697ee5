//! Commands whose standard output takes nothing: they say so, or end without a
//! word where their reader has gone.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use sidegate_harness::{ConfigBuilder, Outcome, TempDir, binary, run_into, sidegate};

use crate::modules::Module;
use crate::support::echo_pair;

/// A folder in which each command has what it works on, and an address that
/// `health` may ask.
struct Scene {
    dir: TempDir,
    admin: String,
    round: usize,
}

impl Scene {
    fn new(admin: String) -> Self {
        let dir = TempDir::new();
        fs::copy(&Module::compile_file("tests/e2e/modules/refuse.c").file, dir.join("guard.so")).unwrap();
        let config = ConfigBuilder::to("127.0.0.1:9".parse().unwrap()).build(dir.path());
        dir.write("config.json", config.to_string());
        let made = sidegate(["keygen", dir.join("signs").to_str().unwrap(), "--no-password"]);
        assert_eq!(made.code, Some(0), "{}", made.output());
        Scene { dir, admin, round: 0 }
    }

    /// Every command that prints, with the code that it ends with where nobody
    /// reads; with names that were not used yet.
    fn commands(&mut self) -> Vec<(Vec<String>, i32)> {
        self.round += 1;
        let fresh = |what: &str| format!("{what}{}", self.round);
        let line = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
        vec![
            (line("check -c config.json"), 0),
            (line("check -c config.json --format json"), 0),
            (line("inspect guard.so"), 0),
            (line("inspect guard.so --format json"), 0),
            // Refused as before: it is no module.
            (line("inspect config.json"), 1),
            (line("schema"), 0),
            (line("schema --format markdown"), 0),
            (line(&format!("cert {}", fresh("certs"))), 0),
            (line(&format!("keygen {} --no-password", fresh("key"))), 0),
            (line("sign --key signs.key guard.so"), 0),
            (line(&format!("new-filter {}", fresh("filter"))), 0),
            (line(&format!("health --admin {}", self.admin)), 0),
            (line("completions bash"), 0),
            (line("--help"), 0),
            (line("check --help"), 0),
            (line("help run"), 0),
            (line("--version"), 0),
        ]
    }

    fn run(&self, words: &[String], output: impl Into<Stdio>) -> Outcome {
        run_into(output.into(), Command::new(binary()).args(words).current_dir(self.dir.path()))
    }
}

#[test]
fn a_reader_that_has_gone_is_no_error_and_a_full_disk_is_one() {
    let (_origin, proxy) = echo_pair();
    let mut scene = Scene::new(proxy.admin().to_string());
    for (words, code) in scene.commands() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let outcome = scene.run(&words, writer);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(code), ""), "{words:?}");
    }
    for (words, _) in scene.commands() {
        let outcome = scene.run(&words, File::options().write(true).open("/dev/full").unwrap());
        let said = "sidegate: cannot write to standard output: No space left on device (os error 28)\n";
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), said), "{words:?}");
    }
}

#[test]
fn standard_error_that_takes_nothing_is_no_crash() {
    let dir = TempDir::new();
    let missing = dir.join("missing.yaml");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut check = Command::new("/bin/sh");
    check.args(["-c", "exec \"$0\" check -c \"$1\" 2>&1"]).arg(binary()).arg(&missing);
    assert_eq!(run_into(full.into(), &mut check).code, Some(1));
}
