//! The example modules run with the configurations beside them.

use std::path::Path;

use serde_json::Value;
use sidegate_harness::{Origin, Proxy, ProxyOptions, Reply, TempDir, Wire, artifact, repository};

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

/// A proxy with the configuration and module of an example, and the name of its
/// listener.
fn run_example(folder: &Path, origin: &Origin) -> (Proxy, String) {
    let name = folder.file_name().unwrap().to_str().unwrap().replace('-', "_");
    let text = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    let listener = config["servers"][0]["listeners"][0]["name"].as_str().unwrap().to_owned();
    relocate(&mut config, origin);
    let dir = TempDir::new();
    let library = format!("lib{name}.so");
    std::fs::copy(artifact(&library), dir.join(&library)).unwrap();
    let file = dir.write("config.json", config.to_string());
    (Proxy::run(dir, &file, &ProxyOptions::default()), listener)
}

fn guards(folder: &Path) {
    let origin = Origin::echo();
    let (proxy, listener) = run_example(folder, &origin);
    let get = |fields: &str| {
        let raw = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        Wire::connect(proxy.listener(&listener)).send(raw).response().status()
    };
    assert_eq!((get(""), get("User: admin\r\n")), (403, 200), "{}", folder.display());
}

#[test]
fn every_auth_example_guards_with_its_own_configuration() {
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

#[test]
fn headers_c_edits_both_directions() {
    let origin = Origin::http(|_| Reply::ok("").header("Server", "origin").header("Via", "1.0 origin"));
    let (proxy, listener) = run_example(&repository().join("so-examples/headers-c"), &origin);
    let raw = "GET / HTTP/1.1\r\nHost: a\r\nX-Debug: 1\r\nX-Team: core\r\nx-debug: 2\r\n\r\n";
    let got = Wire::connect(proxy.listener(&listener)).send(raw).response();
    assert_eq!(got.status(), 200);
    let head = origin.last().head;
    assert_eq!((head.get("x-debug"), head.all("x-team")), (None, vec!["edge"]));
    assert_eq!((got.head.get("server"), got.head.get("x-frame-options")), (None, Some("DENY")));
    assert_eq!(got.head.all("via"), ["1.0 origin", "1.1 sidegate"]);
    // The request and the response.
    let page = proxy.admin_get("/stats/prometheus").text();
    let line = page.lines().find(|line| line.contains("headers_edited{")).unwrap_or_else(|| panic!("{page}"));
    assert!(line.ends_with(" 2"), "{line}");
}
