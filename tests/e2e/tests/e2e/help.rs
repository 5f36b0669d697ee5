//! `--help` says what there is.

use sidegate_harness::{repository, sidegate};

const COMMANDS: [&str; 11] =
    ["run", "check", "health", "inspect", "schema", "cert", "keygen", "sign", "new-filter", "completions", "man"];

#[test]
fn every_command_explains_itself() {
    let whole = sidegate(["--help"]);
    assert_eq!(whole.code, Some(0));
    assert!(whole.stdout.starts_with("A sidecar proxy"), "{}", whole.stdout);
    for command in COMMANDS {
        assert!(whole.stdout.contains(&format!("\n  {command} ")), "{command}: {}", whole.stdout);
        let help = sidegate([command, "--help"]);
        assert_eq!(help.code, Some(0), "{command}");
        assert!(help.stdout.contains(&format!("\n  sidegate {command} ")), "{command} has no example: {}", help.stdout);
        assert!(help.stdout.lines().all(|line| line.chars().count() <= 100), "{}", help.stdout);
    }
}

#[test]
fn a_wrong_command_line_is_explained_too() {
    let outcome = sidegate(["chek", "-c", "x"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("'check'"), "the nearest right name: {}", outcome.stderr);
}

#[test]
fn the_first_page_names_the_module_abi_of_this_build() {
    let version = sidegate(["--version"]).stdout;
    let (_, abi) = version.trim_end().trim_end_matches(')').rsplit_once("module ABI ").expect(&version);
    let page = std::fs::read_to_string(repository().join("README.md")).unwrap();
    assert!(page.contains(&format!("the module ABI is {abi},")), "expected {abi}");
}
