//! Modules made for tests, in a running proxy.

pub(crate) mod bodies;
pub(crate) mod chains;
mod compilers;
mod conformance;
mod crashes;
pub(crate) mod edits;
pub(crate) mod endings;
pub(crate) mod hangs;
pub(crate) mod hostile;
mod limits;
pub(crate) mod minor1;
mod named;
pub(crate) mod oversight;
pub(crate) mod panics;
pub(crate) mod phases;
mod refusals;
mod resumes;
pub(crate) mod settings;
mod trust;
mod unloading;
pub(crate) mod waiting;
mod walk;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sidegate_harness::{Proxy, TempDir, artifact, repository, run};

/// A module in C.
pub(crate) struct Module {
    pub(crate) file: PathBuf,
    _dir: TempDir,
}

impl Module {
    /// Compiles `tests/modules/<name>.c`.
    pub(crate) fn compile(name: &str) -> Self {
        Self::compile_file(&format!("tests/modules/{name}.c"))
    }

    /// Compiles a source file of the repository.
    pub(crate) fn compile_file(source: &str) -> Self {
        Self::compile_with(source, &[])
    }

    /// The same with more options.
    pub(crate) fn compile_with(source: &str, options: &[&str]) -> Self {
        let dir = TempDir::new();
        let stem = Path::new(source).file_stem().unwrap().to_str().unwrap();
        let file = dir.join(format!("lib{stem}.so"));
        let outcome = run(Command::new("cc")
            .args(["-std=gnu11", "-shared", "-fPIC", "-O1", "-I", "ffi-api/include", "-o"])
            .arg(&file)
            .args(options)
            .arg(source)
            .arg("-lpthread")
            .current_dir(repository()));
        assert_eq!(outcome.code, Some(0), "{}", outcome.output());
        Module { file, _dir: dir }
    }

    /// The entry of its filter `filter`, with `more` keys of `so_config`.
    pub(crate) fn entry(&self, filter: &str, more: &Value) -> Value {
        entry(&self.file, filter, more)
    }
}

pub(crate) fn entry(file: &Path, filter: &str, more: &Value) -> Value {
    let mut so_config = json!({"so_path": file});
    if !filter.is_empty() {
        so_config["filter"] = filter.into();
    }
    for (key, value) in more.as_object().unwrap() {
        so_config[key] = value.clone();
    }
    json!({"type": "loadso", "so_config": so_config})
}

/// The entry of a filter of the Rust module `probe` with this configuration.
fn probe(filter: &str, config: &Value) -> Value {
    let mut entry = entry(&artifact("libprobe.so"), filter, &json!({}));
    entry["config"] = config.clone();
    entry
}

/// A module's metric; the name it has on the page ends with its own.
#[track_caller]
pub(crate) fn counter(proxy: &Proxy, name: &str) -> u64 {
    let page = proxy.admin_get("/stats/prometheus").text();
    let is_it = |line: &&str| !line.starts_with('#') && line.split(['{', ' ']).next().unwrap().ends_with(name);
    let line = page.lines().find(is_it).unwrap_or_else(|| panic!("no metric {name} in\n{page}"));
    line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() as u64
}

/// Faults of the only module.
fn faults(proxy: &Proxy) -> Option<u64> {
    proxy.admin_get("/api/v1/modules").json()["modules"][0]["faults"].as_u64()
}
