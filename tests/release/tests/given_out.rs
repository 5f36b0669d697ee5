//! What is given out can be used by somebody who has nothing else.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// An empty folder for one test.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

const MODULE: &str = r#"
use sidegate_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Nothing {}

impl RequestFilter for Nothing {
    fn on_request_headers(&self, _: &mut RequestHeaders<'_>) -> HookResult {
        Ok(Status::Continue)
    }
}

sidegate_sdk::export!(Nothing);
"#;

#[test]
fn the_packaged_crates_build_a_module() {
    let folder = scratch("packaged");
    let packages = folder.join("packages");
    run(Command::new(env!("CARGO"))
        .args(["package", "--locked", "--no-verify", "--allow-dirty", "-p", "sidegate-abi", "-p", "sidegate-sdk"])
        .arg("--target-dir")
        .arg(&packages)
        .current_dir(workspace()));
    let mut patches = String::new();
    for name in ["sidegate-abi", "sidegate-sdk"] {
        let is_it = |file: &Path| {
            let file = file.file_name().unwrap().to_str().unwrap();
            file.starts_with(name) && file.ends_with(".crate")
        };
        let mut files = fs::read_dir(packages.join("package")).unwrap().map(|entry| entry.unwrap().path());
        let archive = files.find(|file| is_it(file)).unwrap();
        run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&folder));
        let unpacked = folder.join(archive.file_stem().unwrap());
        assert!(unpacked.join("README.md").is_file(), "{}", unpacked.display());
        patches += &format!("{name} = {{ path = {:?} }}\n", unpacked.display().to_string());
    }
    let module = folder.join("module");
    fs::create_dir_all(module.join("src")).unwrap();
    fs::write(module.join("src/lib.rs"), MODULE).unwrap();
    let manifest = format!(
        "[package]\nname = \"nothing\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\n[lib]\ncrate-type = [\"cdylib\"]\n\n\
         [dependencies]\nsidegate-sdk = \"1\"\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\n\
         [patch.crates-io]\n{patches}\n[workspace]\n"
    );
    fs::write(module.join("Cargo.toml"), manifest).unwrap();
    // The versions that the workspace has: they are here.
    fs::copy(workspace().join("Cargo.lock"), module.join("Cargo.lock")).unwrap();
    run(Command::new(env!("CARGO")).arg("build").arg("--target-dir").arg(folder.join("target")).current_dir(&module));
    let built = fs::read(folder.join("target/debug/libnothing.so")).unwrap();
    assert!(built.windows(18).any(|bytes| bytes == b"sidegate_module_v1"), "no record");
}

#[test]
fn the_header_is_found_by_pkg_config() {
    let folder = scratch("installed");
    let root = folder.join("root");
    run(Command::new("make")
        .args(["install-header", "PREFIX=/opt/sidegate"])
        .arg(format!("DESTDIR={}", root.display()))
        .env_remove("MAKEFLAGS")
        .current_dir(workspace()));
    let mut asked = Command::new("pkg-config");
    asked
        .env("PKG_CONFIG_PATH", root.join("opt/sidegate/share/pkgconfig"))
        .env("PKG_CONFIG_SYSROOT_DIR", &root)
        .args(["--cflags", "sidegate >= 1.1"]);
    let flags = run(&mut asked);
    let source = workspace().join("so-examples/auth-c/auth.c");
    let module = folder.join("libauth_c.so");
    run(Command::new("cc")
        .args(["-std=c11", "-Wall", "-Werror", "-shared", "-fPIC"])
        .args(flags.split_whitespace())
        .arg("-o")
        .arg(&module)
        .arg(source));
    assert!(module.is_file());
}
