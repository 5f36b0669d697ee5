//! The raw tables are a crate that anybody can copy.

use std::path::Path;
use std::process::Command;

use crate::{ffi_api, run, TempDir};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_tables_build_outside_the_workspace() {
    let dir = TempDir::new();
    copy(&ffi_api().join("abi"), &dir.file("abi"));
    let manifest = std::fs::read_to_string(dir.file("abi/Cargo.toml")).unwrap();
    assert!(manifest.contains("\nedition = \"2021\"\nrust-version = \"1.63\"\n"), "{manifest}");
    assert!(!manifest.contains("workspace"), "{manifest}");
    let (_, dependencies) = manifest.split_once("\n[dependencies]\n").unwrap();
    assert!(
        dependencies.lines().all(|line| line.contains("optional = true")),
        "the tables depend on nothing by default: {manifest}"
    );
    run(Command::new(env!("CARGO"))
        .args(["build", "--offline", "--target-dir"])
        .arg(dir.file("target"))
        .current_dir(dir.file("abi"))
        .env("RUSTFLAGS", "-Dwarnings"));
}
