//! The example modules run with the configurations beside them.

pub(crate) mod access_log;
pub(crate) mod async_check;
pub(crate) mod body_rewrite;
pub(crate) mod headers;
pub(crate) mod jwt;
pub(crate) mod multi;
pub(crate) mod rate_limit;
pub(crate) mod with_plugin;

use std::path::Path;

use serde_json::Value;
use sidegate_harness::{Call, Client, Message, Origin, Pair, Proxy, ProxyOptions, TempDir, artifact, repository};

/// Fixed ports become free ones, hosts become `origin`.
fn relocate(config: &mut Value, origin: &Origin) {
    for listener in config["servers"][0]["listeners"].as_array_mut().unwrap() {
        listener["address"] = "127.0.0.1:0".into();
    }
    for cluster in config["cluster_manager"]["clusters"].as_array_mut().unwrap() {
        for host in cluster["hosts"].as_array_mut().unwrap() {
            host["address"] = origin.address().to_string().into();
        }
    }
    if let Some(admin) = config["admin"]["address"].get_mut("socket_address") {
        admin["port_value"] = 0.into();
    }
}

/// An example with its own configuration and module.
struct Example {
    proxy: Proxy,
    listener: String,
}

impl Example {
    fn run(folder: &str, origin: &Origin) -> Example {
        Example::run_with(folder, origin, |_| {})
    }

    /// With a change to its configuration: what a machine other than its
    /// author's needs.
    fn run_with(folder: &str, origin: &Origin, change: impl FnOnce(&mut Value)) -> Example {
        let (proxy, listener) = run_example(&repository().join("so-examples").join(folder), origin, change);
        Example { proxy, listener }
    }

    fn connect(&self) -> Client {
        Client::to(self.proxy.listener(&self.listener))
    }

    fn get(&self, path: &str, fields: &str) -> Message {
        self.connect().call(&Call::get(path).lines(fields))
    }

    /// Value of the one series whose line begins so.
    fn metric(&self, series: &str) -> f64 {
        let page = self.proxy.admin_get("/stats/prometheus").text();
        let line = page.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("{series}: {page}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

/// A proxy with the configuration and module of an example, and the name of its
/// listener.
fn run_example(folder: &Path, origin: &Origin, change: impl FnOnce(&mut Value)) -> (Proxy, String) {
    let name = folder.file_name().unwrap().to_str().unwrap().replace('-', "_");
    let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    let listener = config["servers"][0]["listeners"][0]["name"].as_str().unwrap().to_owned();
    relocate(&mut config, origin);
    change(&mut config);
    Pair::current().apply(&mut config);
    let dir = TempDir::new();
    let library = format!("lib{name}.so");
    std::fs::copy(artifact(&library), dir.join(&library)).unwrap();
    let file = dir.write("config.json", config.to_string());
    (Proxy::run(dir, &file, &ProxyOptions::default()), listener)
}

fn guards(folder: &Path) {
    let origin = Origin::echo();
    let (proxy, listener) = run_example(folder, &origin, |_| {});
    let get = |fields: &str| Client::to(proxy.listener(&listener)).call(&Call::get("/").lines(fields)).status();
    assert_eq!((get(""), get("User: admin\r\n")), (403, 200), "{}", folder.display());
}

#[test]
pub(crate) fn every_auth_example_guards_with_its_own_configuration() {
    let mut examples = 0;
    for entry in std::fs::read_dir(repository().join("so-examples")).unwrap() {
        let folder = entry.unwrap().path();
        if folder.is_dir() && folder.file_name().unwrap().to_str().unwrap().starts_with("auth") {
            guards(&folder);
            examples += 1;
        }
    }
    assert!(examples >= 2, "only {examples} examples found");
}
