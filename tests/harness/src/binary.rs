//! Where the things under test are.

use std::path::{Path, PathBuf};

/// The repository's root folder.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The target folder of this build, without the profile.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => repository().join(dir),
        None => repository().join("target"),
    }
}

/// The `sidegate` binary: `SIDEGATE_BIN`, else the one this build's profile
/// left in the target folder. Nothing is built here.
pub fn binary() -> PathBuf {
    match std::env::var_os("SIDEGATE_BIN") {
        Some(path) => repository().join(path),
        None => target_dir().join(profile()).join("sidegate"),
    }
}

/// A file that the build leaves beside the binary, such as `libauth.so`.
pub fn artifact(name: &str) -> PathBuf {
    let beside = binary().with_file_name(name);
    assert!(beside.exists(), "{} is missing: run `make build` first", beside.display());
    beside
}

fn profile() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}
