//! The filters of MOSN's examples, by MOSN's configurations.

use std::path::{Path, PathBuf};

use serde_json::json;
use sidegate_harness::{Call, ConfigBuilder, Origin, Proxy, ProxyOptions, TempDir, artifact, binary, until};

use super::{PROGRAM, asks, status};

/// The proxy's program in a folder of its own, and the test's plugin beside it
/// under the name that MOSN has for it.
fn beside(dir: &TempDir, name: &str) -> PathBuf {
    let own = dir.join("sidegate");
    std::fs::copy(binary(), &own).unwrap();
    std::fs::copy(artifact(PROGRAM), dir.join(name)).unwrap();
    own
}

fn start(binary: &Path, origin: &Origin, filter: serde_json::Value) -> Proxy {
    let options = ProxyOptions {
        binary: Some(binary.to_owned()),
        environment: vec![("OWN_WORD".into(), "inherited".into())],
        ..ProxyOptions::default()
    };
    let config = ConfigBuilder::to(origin.address()).filter(filter).top("plugin", json!({"log_base": "/tmp/logs"}));
    Proxy::start_with(&config, &options)
}

#[test]
fn pluginfilter_changes_requests_and_fails_open() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let program = beside(&dir, "pluginfilter");
    let proxy = start(&program, &origin, json!({"type": "pluginfilter"}));
    assert_eq!(status(&proxy)["name"], "pluginfilter");
    // Its ten milliseconds may be over on a loaded machine; then nothing is changed.
    let changed = |_: usize| {
        proxy.call(&Call::post("/", "abc").header("X-Do", "tell,env,double,set=X-Gone:").header("X-Gone", "1"));
        let seen = origin.last();
        let told = seen.head.get("x-told")?.to_owned();
        Some((seen, told))
    };
    let (seen, told) = (0..200).find_map(changed).expect("an answer in time");
    assert_eq!((seen.body.as_slice(), seen.head.has("x-gone")), (&b"abcabc"[..], false));
    assert!(told.starts_with("header(") && !told.contains(":method") && told.contains("body(abc)"), "{told}");
    let environment = seen.head.get("x-env").unwrap();
    for variable in ["OWN_WORD=inherited", "MOSN_LOGBASE=/tmp/logs/", "MOSN_PROCS=1", "MOSN_PLUGIN=ON"] {
        assert!(environment.contains(variable), "{variable} in {environment}");
    }
    for deed in ["hang", "fail"] {
        assert_eq!(proxy.call(&asks(deed)).status(), 200, "{deed}");
    }
}

#[test]
fn demo_plugin_refuses_and_fails_closed() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let program = beside(&dir, "checker");
    // The test's plugin takes `-c` for the way it begins.
    let wrapped = format!("#!/bin/sh\nexec {} plain\n", artifact(PROGRAM).display());
    std::fs::write(dir.join("checker"), wrapped).unwrap();
    let proxy = start(&program, &origin, json!({"type": "demo_plugin", "config": {"config_path": "./checkconf.json"}}));
    assert_eq!(proxy.call(&asks("")).status(), 200);
    assert_eq!(proxy.call(&asks("deny")).status(), 403);
    assert_eq!(proxy.call(&asks("fail")).status(), 500);
    assert_eq!(origin.count(), 1);
}

#[test]
fn one_that_answers_nothing_is_started_again() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let program = beside(&dir, "pluginfilter");
    // One that says nothing of its health.
    dir.write("pluginfilter", format!("#!/bin/sh\nexec {} plain\n", artifact(PROGRAM).display()));
    let proxy = start(&program, &origin, json!({"type": "pluginfilter"}));
    // Thirty calls and a second, whatever the machine is busy with.
    until("another process", || {
        assert_eq!(proxy.call(&asks("hang")).status(), 200);
        (status(&proxy)["restarts"].as_u64() > Some(0)).then_some(())
    });
}

#[test]
fn without_its_program_it_is_told_what_is_missing() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let config =
        ConfigBuilder::to(origin.address()).filter(json!({"type": "demo_plugin", "config": {}})).build(dir.path());
    let file = dir.write("config.json", config.to_string());
    let checked = sidegate_harness::sidegate(["check", "-c", file.to_str().unwrap()]);
    assert_eq!(checked.code, Some(1));
    assert!(checked.output().contains("/checker: No such file"), "{}", checked.output());
}
