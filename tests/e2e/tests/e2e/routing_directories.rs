//! Virtual hosts and clusters from directories.

use std::fs;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, ProxyOptions, TempDir, sidegate};

use crate::support::answer;

/// A folder with `config.json`, `hosts/` and `clusters/`.
fn folder(files: &[(&str, Value)]) -> TempDir {
    let dir = TempDir::new();
    for name in ["hosts", "clusters"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    let config = ConfigBuilder::empty()
        .in_router("router_configs", json!("hosts"))
        .top("cluster_manager", json!({"clusters_configs": "clusters"}));
    dir.write("config.json", config.build(dir.path()).to_string());
    for (name, content) in files {
        dir.write(name, serde_json::to_string_pretty(content).unwrap());
    }
    dir
}

#[test]
fn they_serve_like_those_of_the_file() {
    let origin = Origin::echo();
    let dir = folder(&[
        ("hosts/a.json", json!({"name": "a", "domains": ["a.test"], "routers": [answer(json!({"prefix": "/"}), "a")]})),
        (
            "hosts/b.json",
            json!({"name": "b", "domains": ["*"], "routers": [
                {"match": {"prefix": "/"}, "route": {"cluster_name": "origin"}}
            ]}),
        ),
        ("clusters/origin.json", json!({"name": "origin", "hosts": [{"address": origin.address().to_string()}]})),
    ]);
    let file = dir.join("config.json");
    // The directories are beside the file, wherever the process is started.
    let proxy = Proxy::run(dir, &file, &ProxyOptions::default());
    assert_eq!(proxy.exchange("GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n").text(), "a");
    assert_eq!(origin.count(), 0);
    assert_eq!(proxy.get("/x").status(), 200);
    assert_eq!(origin.last().head.target(), "/x");
    let dump = proxy.admin_get("/api/v1/config_dump").text();
    assert!(dump.contains("a.test"), "{dump}");
}

#[test]
fn a_mistake_is_shown_with_its_file() {
    let dir = folder(&[
        (
            "hosts/a.json",
            json!({"name": "a", "domains": ["*"], "routers": [
                {"match": {"prefix": "/"}, "route": {"cluster_name": "nowhere"}}
            ]}),
        ),
        ("clusters/c.json", json!({"name": "c", "hosts": [{"address": "127.0.0.1"}]})),
    ]);
    let outcome = sidegate(["check", "-c", dir.join("config.json").to_str().unwrap()]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.output());
    for wanted in ["hosts/a.json:", "\"nowhere\" is not defined", "clusters/c.json:", "expected IP:port"] {
        assert!(outcome.stderr.contains(wanted), "no {wanted:?} in\n{}", outcome.output());
    }
    fs::remove_dir_all(dir.join("hosts")).unwrap();
    let outcome = sidegate(["check", "-c", dir.join("config.json").to_str().unwrap()]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("router_configs: cannot read the directory"), "{}", outcome.output());
}
