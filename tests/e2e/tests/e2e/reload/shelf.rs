//! A module that says which generation it is, for tests of its reloads.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Load, Origin, Proxy, Reply, TempDir};

use crate::modules::Module;

/// A module's file in a place of its own, and its generations.
pub(super) struct Shelf {
    dir: TempDir,
}

impl Shelf {
    pub(super) fn new() -> Self {
        let shelf = Shelf { dir: TempDir::new() };
        shelf.put("1", &[]);
        shelf
    }

    pub(super) fn file(&self) -> PathBuf {
        self.dir.join("libstamp.so")
    }

    /// Compiles a generation and renames it over the file.
    pub(super) fn put(&self, stamp: &str, more: &[&str]) {
        let option = format!("-DSTAMP=\"{stamp}\"");
        let options: Vec<&str> = [&*option].into_iter().chain(more.iter().copied()).collect();
        let module = Module::compile_with("tests/e2e/modules/stamp.c", &options);
        self.put_file(&module.file);
    }

    /// Renames a copy of this file over the module's.
    pub(super) fn put_file(&self, file: &Path) {
        std::fs::copy(file, self.dir.join("partial")).unwrap();
        std::fs::rename(self.dir.join("partial"), self.file()).unwrap();
    }

    pub(super) fn config(&self, origin: &Origin, more: Value) -> ConfigBuilder {
        let mut so_config = json!({"so_path": self.file(), "name": "stamp"});
        for (key, value) in more.as_object().unwrap() {
            so_config[key] = value.clone();
        }
        ConfigBuilder::to(origin.address()).filter(json!({"type": "loadso", "so_config": so_config}))
    }
}

/// Answers with the stamp that the module has put on the request.
pub(super) fn origin() -> Origin {
    Origin::http(|seen| Reply::ok(seen.head.get("x-stamp").unwrap_or("none").to_owned()))
}

pub(super) fn load(proxy: &Proxy) -> Load {
    Load::start(proxy.address(), 3, "/", |response| match (response.status(), response.text().parse::<u32>()) {
        (200, Ok(1..)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
}

/// State of each generation that is still in the process.
pub(super) fn mapped(proxy: &Proxy) -> Vec<(u64, String)> {
    let modules = proxy.admin_get("/api/v1/modules").json();
    let generations = modules["modules"][0]["generations"].as_array().cloned().unwrap_or_default();
    let shown =
        generations.iter().map(|g| (g["generation"].as_u64().unwrap(), g["state"].as_str().unwrap().to_owned()));
    shown.filter(|(_, state)| state != "unmapped").collect()
}

#[track_caller]
pub(super) fn reload_module(proxy: &Proxy, query: &str) -> Value {
    let answer = proxy.order(&format!("/api/v1/modules/stamp/reload{query}"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()
}
