//! The dump of what runs is a configuration again: it is accepted, and what runs
//! from it has the same dump.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sidegate_config::REDACTED;
use sidegate_config::document::{Format, parse};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, ProxyOptions, TempDir, artifact, repository, sidegate};

/// All files below `folder` that are configurations.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "json" || kind == "yaml") {
            found.push(path);
        }
    }
}

/// With free ports in place of fixed ones, and logs that do not disturb.
fn relocated(mut config: Value) -> Value {
    for server in config["servers"].as_array_mut().into_iter().flatten() {
        for listener in server["listeners"].as_array_mut().into_iter().flatten() {
            listener["address"] = "127.0.0.1:0".into();
        }
    }
    config["admin"] = json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}});
    config["metrics"]["sinks"] = json!([]);
    config
}

/// A folder where modules that MOSN's files name are.
fn folder() -> TempDir {
    let dir = TempDir::new();
    fs::copy(artifact("libauth.so"), dir.join("simple_so.so")).unwrap();
    dir
}

fn run(dir: TempDir, config: &Value) -> Proxy {
    let file = dir.write("config.json", config.to_string());
    Proxy::run(dir, &file, &ProxyOptions::default())
}

/// The dump of a process that runs `config`, but for what is not of the
/// configuration.
fn dumped(config: &Value) -> Value {
    let mut dump = run(folder(), config).admin_get("/api/v1/config_dump").json();
    // Digest and time are of one process.
    assert!(dump.as_object_mut().unwrap().shift_remove("running").is_some(), "{dump}");
    for (part, added) in [("listener", "bound"), ("cluster", "health")] {
        for entry in dump[part].as_object_mut().unwrap().values_mut() {
            assert!(entry.as_object_mut().unwrap().shift_remove(added).is_some(), "{part}: {entry}");
        }
    }
    dump
}

fn check(config: &Value) -> (Option<i32>, String) {
    let dir = folder();
    let file = dir.write("config.json", config.to_string());
    let outcome = sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str()]);
    (outcome.code, outcome.output())
}

/// Pointers to all that a dump hides.
fn hidden(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text == REDACTED => found.push(at.to_owned()),
        Value::Object(entries) => entries.iter().for_each(|(key, value)| {
            hidden(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
        }),
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, value)| hidden(value, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

/// Runs `config`, and then its dump. `secrets` are what the dump hides, in its
/// order.
#[track_caller]
fn comes_back(config: &Value, secrets: &[Value]) {
    let whole = run(folder(), config).admin_get("/api/v1/config_dump").json();
    let mut places = Vec::new();
    hidden(&whole, "", &mut places);
    assert_eq!(places.len(), secrets.len(), "{places:?}");
    let (code, output) = check(&whole);
    assert_eq!(code, Some(i32::from(!places.is_empty())), "{output}");
    // Secrets that are not there are missed by name, and nothing else is.
    let errors = output.lines().filter(|line| line.contains("config.json:") && !line.contains(" warning: "));
    let errors: Vec<&str> = errors.filter(|line| !line.ends_with(": ok")).collect();
    assert_eq!(errors.len(), places.len(), "{output}");
    for (error, place) in errors.iter().zip(&places) {
        let name = place.rsplit('/').find(|part| part.parse::<usize>().is_err()).unwrap();
        assert!(error.contains(name) && error.contains("expected the secret itself"), "{place}: {error}");
    }
    let mut whole = whole;
    for (place, secret) in places.iter().zip(secrets) {
        *whole.pointer_mut(place).unwrap() = secret.clone();
    }
    assert_eq!(dumped(&whole), dumped(config));
}

#[test]
fn a_dump_of_each_mosn_file_comes_back() {
    let folder = repository().join("../shared/mosn-configs");
    if !folder.is_dir() {
        eprintln!("skipped: the collection of MOSN configurations is not beside this checkout");
        return;
    }
    let mut found = Vec::new();
    files(&folder, &mut found);
    let mut accepted = 0;
    for file in found {
        let text = fs::read_to_string(&file).unwrap();
        let Ok(config) = parse(&text, Format::of(&file, &text)) else { continue };
        let config = relocated(config.to_json());
        if check(&config).0 != Some(0) {
            continue;
        }
        eprintln!("{}", file.display());
        // The values of `demo` are hidden.
        let is_demo = config["servers"][0]["listeners"][0]["stream_filters"][0]["type"] == "demo";
        let is_demo = is_demo && config.to_string().contains("\"User\"") && !config.to_string().contains("so_path");
        comes_back(&config, &[json!("admin")][..usize::from(is_demo)]);
        accepted += 1;
    }
    assert!(accepted >= 19, "{accepted}");
}

#[test]
fn a_dump_of_everything_else_comes_back() {
    let origin = Origin::echo();
    let config = ConfigBuilder::empty()
        .cluster("origin", &[origin.address()])
        .in_cluster("upstream_protocol", json!("Http1"))
        .in_cluster("http2_protocol_options", json!({"connection_keepalive": {"interval": "30s"}}))
        .in_proxy("downstream_protocol", json!("Http1,Http2"))
        .in_proxy("extend_config", json!({"Http2": {"http2_use_stream": true}}))
        .in_proxy(
            "http2_protocol_options",
            json!({"max_concurrent_streams": 7, "frame_limits": {"pings": {"burst": 9}}}),
        )
        .filter(json!({"type": "demo", "config": {"User": "root"}}))
        .filter(json!({"type": "fault"}))
        .filter(json!({"type": "x", "so_config": {"so_path": "simple_so.so", "secrets": ["/User"]},
            "config": {"User": "pin"}}))
        .virtual_host_object(json!({"name": "v", "domains": ["*"], "routers": [{
            "match": {"prefix": "/", "headers": [{"name": "x-empty", "value": ""}]},
            "route": {"cluster_name": "origin", "request_headers_to_add": [
                {"header": {"key": "authorization", "value": "Basic eDp5"}, "append": false},
            ]},
            "per_filter_config": {"fault": {"abort": {"percentage": 1, "status": 503}}},
        }, {
            "route": {"weighted_clusters": [{"cluster": {"name": "origin", "weight": 1}}]},
        }]}));
    let config = config.build(TempDir::new().path());
    comes_back(&relocated(config), &[json!("root"), json!("pin"), json!("Basic eDp5")]);
}

#[test]
fn a_dump_of_directories_needs_them_no_more() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    for name in ["hosts", "clusters"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    let config = ConfigBuilder::empty()
        .in_router("router_configs", json!("hosts"))
        .top("cluster_manager", json!({"clusters_configs": "clusters"}))
        .build(dir.path());
    let host = json!({"name": "v", "domains": ["*"], "routers": [{"route": {"cluster_name": "origin"}}]});
    dir.write("hosts/v.json", host.to_string());
    let cluster = json!({"name": "origin", "hosts": [{"address": origin.address().to_string()}]});
    dir.write("clusters/origin.json", cluster.to_string());
    let proxy = run(dir, &relocated(config));
    let dump = proxy.admin_get("/api/v1/config_dump").json();
    let again = run(TempDir::new(), &dump);
    assert_eq!(again.get("/").status(), 200);
    assert_eq!(origin.count(), 1);
}
