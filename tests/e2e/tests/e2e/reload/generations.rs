//! Modules that are loaded anew.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Load, Origin, Proxy, Reply, TempDir, until};

use crate::modules::Module;

/// A module's file in a place of its own, and its generations.
struct Shelf {
    dir: TempDir,
}

impl Shelf {
    fn new() -> Self {
        let shelf = Shelf { dir: TempDir::new() };
        shelf.put("1", &[]);
        shelf
    }

    fn file(&self) -> std::path::PathBuf {
        self.dir.join("libstamp.so")
    }

    /// Compiles a generation and renames it over the file.
    fn put(&self, stamp: &str, more: &[&str]) {
        let option = format!("-DSTAMP=\"{stamp}\"");
        let options: Vec<&str> = [&*option].into_iter().chain(more.iter().copied()).collect();
        let module = Module::compile_with("tests/e2e/modules/stamp.c", &options);
        std::fs::copy(&module.file, self.dir.join("partial")).unwrap();
        std::fs::rename(self.dir.join("partial"), self.file()).unwrap();
    }

    fn config(&self, origin: &Origin, more: Value) -> ConfigBuilder {
        let mut so_config = json!({"so_path": self.file(), "name": "stamp"});
        for (key, value) in more.as_object().unwrap() {
            so_config[key] = value.clone();
        }
        ConfigBuilder::to(origin.address()).filter(json!({"type": "loadso", "so_config": so_config}))
    }
}

/// Answers with the stamp that the module has put on the request.
fn origin() -> Origin {
    Origin::http(|seen| Reply::ok(seen.head.get("x-stamp").unwrap_or("none").to_owned()))
}

fn load(proxy: &Proxy) -> Load {
    Load::start(proxy.address(), 3, "/", |response| match (response.status(), response.text().parse::<u32>()) {
        (200, Ok(1..)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
}

/// State of each generation that is still in the process.
fn mapped(proxy: &Proxy) -> Vec<(u64, String)> {
    let modules = proxy.admin_get("/api/v1/modules").json();
    let generations = modules["modules"][0]["generations"].as_array().cloned().unwrap_or_default();
    let shown =
        generations.iter().map(|g| (g["generation"].as_u64().unwrap(), g["state"].as_str().unwrap().to_owned()));
    shown.filter(|(_, state)| state != "unmapped").collect()
}

#[track_caller]
fn reload_module(proxy: &Proxy, query: &str) -> Value {
    let answer = proxy.order(&format!("/api/v1/modules/stamp/reload{query}"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()
}

#[test]
fn a_module_is_loaded_anew_under_load_and_the_old_one_leaves() {
    let (shelf, origin) = (Shelf::new(), origin());
    let proxy = Proxy::start(&shelf.config(&origin, json!({})));
    assert_eq!(proxy.get("/").text(), "1");
    let load = load(&proxy);
    for round in 2..=5_u64 {
        shelf.put(&round.to_string(), &[]);
        let taken = reload_module(&proxy, "");
        assert_eq!(
            (&taken["number"], &taken["reason"], &taken["module"]),
            (&json!(round), &json!("module"), &json!("stamp"))
        );
        assert_eq!(proxy.get("/").text(), round.to_string());
        load.more(10);
    }
    // The same bytes are a generation too.
    reload_module(&proxy, "");
    until("old generations to leave", || (mapped(&proxy).len() == 1).then_some(()));
    assert_eq!(mapped(&proxy), [(6, "current".to_owned())]);
    load.stop();
    assert_eq!(proxy.metric("sidegate_module_reload_total{result=\"success\"}"), Some(5.0));
}

#[test]
fn a_reload_of_the_file_takes_a_module_only_if_it_changed() {
    let (shelf, origin) = (Shelf::new(), origin());
    let mut proxy = Proxy::start(&shelf.config(&origin, json!({})));
    assert_eq!(proxy.reload_file()["unchanged"], true);
    shelf.put("2", &[]);
    let taken = proxy.reload_file();
    assert_eq!(taken["unchanged"], false, "{taken:#}");
    assert_eq!(taken["changes"]["modules"]["changed"][0]["name"], "stamp", "{taken:#}");
    assert_eq!(proxy.get("/").text(), "2");
}

#[test]
fn a_watched_module_is_taken_when_it_changes() {
    let (shelf, origin) = (Shelf::new(), origin());
    let options = sidegate_harness::ProxyOptions { arguments: vec!["--watch".to_owned()], ..Default::default() };
    let proxy = Proxy::start_with(&shelf.config(&origin, json!({"watch": true})), &options);
    shelf.put("2", &[]);
    until("the new module", || (proxy.get("/").text() == "2").then_some(()));
}

#[test]
fn a_module_that_is_refused_leaves_the_old_one_serving() {
    let (shelf, origin) = (Shelf::new(), origin());
    let mut proxy = Proxy::start(&shelf.config(&origin, json!({})));
    let load = load(&proxy);
    shelf.put("2", &["-DREFUSE"]);
    let refused = |proxy: &Proxy, path: &str| {
        let answer = proxy.order(path);
        assert_eq!(answer.status(), 422, "{}", answer.text());
        answer.json()["errors"][0]["message"].as_str().unwrap().to_owned()
    };
    refused(&proxy, "/api/v1/modules/stamp/reload");
    refused(&proxy, "/api/v1/config/reload");
    std::fs::write(shelf.file(), "no module").unwrap();
    refused(&proxy, "/api/v1/modules/stamp/reload");
    std::fs::remove_file(shelf.file()).unwrap();
    refused(&proxy, "/api/v1/modules/stamp/reload");
    let none = proxy.order("/api/v1/modules/nobody/reload");
    assert_eq!((none.status(), &none.json()["refused"]), (404, &json!("not_found")));
    assert_eq!(proxy.get("/").text(), "1");
    load.more(10);
    load.stop();
    shelf.put("3", &[]);
    reload_module(&proxy, "");
    assert_eq!(proxy.get("/").text(), "3");
    proxy.learn();
}

#[test]
fn a_module_goes_with_the_last_filter_that_comes_from_it() {
    let (shelf, origin) = (Shelf::new(), origin());
    let plain = ConfigBuilder::to(origin.address());
    let mut proxy = Proxy::start(&plain);
    assert_eq!(proxy.get("/").text(), "none");
    for _ in 0..3 {
        proxy.reload(&shelf.config(&origin, json!({})));
        assert_eq!(proxy.get("/").text(), "1");
        proxy.reload(&plain);
        assert_eq!(proxy.get("/").text(), "none");
        until("the module to leave", || mapped(&proxy).is_empty().then_some(()));
    }
}
