//! The example modules run with the configurations beside them.

use std::path::Path;

use serde_json::Value;
use sidegate_harness::{Origin, Proxy, ProxyOptions, TempDir, Wire, artifact, repository};

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

fn guards(folder: &Path) {
    let name = folder.file_name().unwrap().to_str().unwrap().replace('-', "_");
    let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    let listener = config["servers"][0]["listeners"][0]["name"].as_str().unwrap().to_owned();
    let origin = Origin::echo();
    relocate(&mut config, &origin);
    let dir = TempDir::new();
    let library = format!("lib{name}.so");
    std::fs::copy(artifact(&library), dir.join(&library)).unwrap();
    let file = dir.write("config.json", config.to_string());
    let proxy = Proxy::run(dir, &file, &ProxyOptions::default());
    let get = |fields: &str| {
        let raw = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        Wire::connect(proxy.listener(&listener)).send(raw).response().status()
    };
    assert_eq!((get(""), get("User: admin\r\n")), (403, 200), "{name}");
}

#[test]
fn every_example_runs_with_its_own_configuration() {
    let mut examples = 0;
    for entry in std::fs::read_dir(repository().join("so-examples")).unwrap() {
        let folder = entry.unwrap().path();
        if folder.is_dir() {
            guards(&folder);
            examples += 1;
        }
    }
    assert!(examples >= 2, "only {examples} examples found");
}
