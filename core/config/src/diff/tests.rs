use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::resolve::tests::{BASE, FULL, env, registry, varied};
use crate::{ConfigFile, LoadMode, Wire};

const EVERY_KEY: &str = include_str!("../schema/every_key.yaml");

fn resolved(text: &str, before: Option<&Config>) -> Option<Config> {
    let file = ConfigFile::parse(Path::new("c.yaml"), text).ok()?;
    let before = before.map(|before| &before.filters_cache);
    file.resolve(&registry().0, &env(), LoadMode::Load, before).ok()
}

fn between(from: &str, to: &str) -> ConfigDiff {
    let config = |text: &str| resolved(text, None).unwrap_or_else(|| panic!("refused:\n{text}"));
    diff(&config(from), &config(to))
}

/// A change of `BASE`, and the diff it makes.
#[track_caller]
fn shows(from: &str, to: &str, expected: &str) {
    assert_eq!(between(BASE, &varied(from, to)).to_string(), expected);
}

#[test]
fn each_change_is_told_of_what_it_changes() {
    shows("User: admin", "User: root", "~ listener l: filters: demo has another config");
    shows(
        "    - type: demo\n",
        "    - type: demo\n      on_fault: pass\n",
        "~ listener l: filters: demo has another entry",
    );
    shows("    - type: demo\n", "    - {type: demo, name: n}\n    - type: demo\n", "~ listener l: filters: n is new");
    shows(
        "    filter_chains:\n",
        "    connection_idle_timeout: 1s\n    access_logs: [{log_path: stdout}]\n    filter_chains:\n",
        "~ listener l: connection_idle_timeout; access_logs",
    );
    shows(
        "config: {router_config_name: r}",
        "config: {router_config_name: r, timeouts: {response: 1s}, limits: {max_headers: 9}, header_case: title}",
        "~ listener l: limits; timeouts; header_case",
    );
    shows(
        "config: {router_config_name: r}",
        "config: {router_config_name: r, downstream_protocol: Auto, http2_protocol_options: {max_frame_size: 20000}}",
        "~ listener l: downstream_protocol; http2_protocol_options",
    );
    shows(
        "cluster_name: c}",
        "cluster_name: c, upstream_protocol: Http2}",
        "~ router r: virtual host v: routes changed prefix /",
    );
    shows(
        "  - name: c\n",
        "  - name: c\n    upstream_protocol: Http2\n    http2_protocol_options: {max_concurrent_streams: 7}\n",
        "~ cluster c: connections; http",
    );
    shows(
        "127.0.0.1:2046",
        "127.0.0.1:2047",
        "~ listener l: address 127.0.0.1:2046 becomes 127.0.0.1:2047\n\
         ! connections of listener l on 127.0.0.1:2046 drain, as it moves to 127.0.0.1:2047",
    );
    // The socket stays, and its connections.
    shows("  - name: l\n", "  - name: m\n", "+ listener m\n- listener l");
    shows(
        "  - name: l\n    address: 127.0.0.1:2046\n",
        "  - name: m\n    address: 127.0.0.1:2047\n",
        "+ listener m\n- listener l\n! connections of listener l on 127.0.0.1:2046 drain, as it is removed",
    );
    shows(
        "  - name: l\n    address: 127.0.0.1:2046\n",
        "  - name: m\n    address: 127.0.0.1:2046\n    reuseport: true\n",
        "+ listener m\n- listener l\n! connections of listener l on 127.0.0.1:2046 drain, as it is removed",
    );
    shows(
        "    address: 127.0.0.1:2046\n",
        "    address: 127.0.0.1:2046\n    reuseport: true\n",
        "~ listener l: reuseport\n! connections of listener l on 127.0.0.1:2046 drain, as it is bound anew",
    );
    shows("cluster_name: c}", "cluster_name: c, timeout: 1s}", "~ router r: virtual host v: routes changed prefix /");
    shows("domains: ['*']", "domains: [a.com]", "~ router r: virtual host v: settings");
    shows(
        "    - name: v\n",
        "    - {name: w, domains: [w.com], routers: []}\n    - name: v\n",
        "~ router r: virtual host w is new",
    );
    shows("127.0.0.1:8080", "127.0.0.1:8081", "~ cluster c: hosts: added 127.0.0.1:8081, removed 127.0.0.1:8080");
    shows(
        "- address: 127.0.0.1:8080",
        "- {address: '127.0.0.1:8080', weight: 2}",
        "~ cluster c: hosts: changed 127.0.0.1:8080",
    );
    shows(
        "  - name: c\n",
        "  - name: c\n    connect_timeout: 1s\n    lb_type: LB_RANDOM\n",
        "~ cluster c: load_balancing; connections",
    );
    shows("  clusters:\n", "  clusters:\n  - name: d\n", "+ cluster d");
    shows("default_log_level: INFO", "default_log_level: DEBUG", "~ log");
    shows("port_value: 34901}", "port_value: 34902}", "~ admin.address");
    shows("admin:\n", "admin:\n  token: x\n  live_edit: true\n", "~ admin.access");
    shows("admin:\n", "overload: {streams: 5}\nmodules: {allow: [run_path]}\nadmin:\n", "~ overload\n~ modules");
}

#[test]
fn routes_are_told_apart_by_what_they_say() {
    let routes = |matched: &[(&str, &str)]| {
        let route =
            |(path, to): &(&str, &str)| format!("{{match: {{path: {path}}}, redirect: {{path_redirect: {to}}}}}");
        let all: Vec<String> = matched.iter().map(route).collect();
        varied(
            "- match: {prefix: /}\n        route: {cluster_name: c}\n",
            &format!("{}\n", all.iter().map(|r| format!("- {r}\n      ")).collect::<String>()),
        )
    };
    let old = routes(&[("/a", "/x"), ("/b", "/x"), ("/c", "/x"), ("/d", "/x")]);
    let shown = |matched| between(&old, &routes(matched)).to_string();
    assert_eq!(shown(&[("/a", "/x"), ("/b", "/x"), ("/c", "/x"), ("/d", "/x")]), "nothing changes");
    assert_eq!(
        shown(&[("/c", "/x"), ("/b", "/y"), ("/a", "/x"), ("/e", "/x")]),
        "~ router r: virtual host v: routes added path /e, removed path /d, changed path /b, in another order"
    );
    assert_eq!(
        shown(&[("/a", "/x"), ("/b", "/x"), ("/c", "/x")]),
        "~ router r: virtual host v: routes removed path /d"
    );
}

#[test]
fn filters_that_change_places_are_moved() {
    let chain = |order: [&str; 3]| {
        let entries: String = order.iter().map(|name| format!("    - {{type: demo, name: {name}}}\n")).collect();
        varied("    - type: demo\n      config: {User: admin}\n", &entries)
    };
    let shown = between(&chain(["a", "b", "c"]), &chain(["a", "c", "b"])).to_string();
    assert_eq!(shown, "~ listener l: filters: c is moved, b is moved");
    let shown = between(&chain(["a", "b", "c"]), &chain(["b", "c", "d"])).to_string();
    assert_eq!(shown, "~ listener l: filters: d is new, a is removed");
}

#[test]
fn modules_are_compared_by_file_and_content() {
    let with = |so: &str| {
        varied("    - type: demo\n      config: {User: admin}\n", &format!("    - {{type: x, so_config: {{{so}}}}}\n"))
    };
    assert_eq!(
        between(BASE, &with("so_path: a.so")).to_string(),
        "~ listener l: filters: a is new, demo is removed\n+ module a"
    );
    let other = between(&with("so_path: a.so, name: m"), &with("so_path: b.so, name: m"));
    assert_eq!(other.modules.of("m"), [ModulePart::File]);
    assert_eq!(other.to_string(), "~ listener l: filters: m has another entry\n~ module m: another path");
    let (registry, builder) = registry();
    let resolve = || {
        let file = ConfigFile::parse(Path::new("c.yaml"), &with("so_path: a.so, name: m")).unwrap();
        file.resolve(&registry, &env(), LoadMode::NoLoad, None).unwrap()
    };
    let before = resolve();
    *builder.behind.lock().unwrap() = b"other".to_vec();
    let diff = diff(&before, &resolve());
    assert_eq!(diff.to_string(), "~ listener l: filters: m has other files\n~ module m: another file");
}

#[test]
fn the_form_for_tools() {
    let text = varied("127.0.0.1:2046", "127.0.0.1:2047")
        .replace("User: admin", "User: root")
        .replace("prefix: /", "prefix: /a");
    let diff = between(BASE, &text);
    let mut json = diff.to_json();
    let lines = json.as_object_mut().unwrap().remove("lines").unwrap();
    let lines: Vec<&str> = lines.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(lines.join("\n"), diff.to_string());
    let expected = json!({
        "same": false,
        "listeners": {"added": [], "removed": [], "changed": [{"name": "l", "what": [
            {"part": "address", "from": "127.0.0.1:2046", "to": "127.0.0.1:2047"},
            {"part": "filters", "filters": [{"name": "demo", "change": "config"}]},
        ]}]},
        "routers": {"added": [], "removed": [], "changed": [{"name": "r", "what": [
            {"part": "virtual_host", "name": "v", "change": "changed", "settings": false,
             "routes": {"added": ["prefix /a"], "removed": ["prefix /"], "changed": [], "reordered": false}},
        ]}]},
        "clusters": {"added": [], "removed": [], "changed": []},
        "modules": {"added": [], "removed": [], "changed": []},
        "process": [],
        "drains": [{"listener": "l", "address": "127.0.0.1:2046", "why": "moved", "to": "127.0.0.1:2047"}],
        "restart": [],
    });
    assert_eq!(json, expected);
}

#[test]
fn what_needs_a_restart_has_a_place() {
    let text = varied("- default_log_path: stdout\n", "- default_log_path: stdout\n  processor: 3\n");
    let file = ConfigFile::parse(Path::new("c.yaml"), &text).unwrap();
    let mut for_three = env();
    for_three.workers = 3;
    let wanted = file.resolve(&registry().0, &for_three, LoadMode::NoLoad, None).unwrap();
    let found = needs_restart(&resolved(BASE, None).unwrap(), &wanted);
    let [found] = &found[..] else { panic!("{found:?}") };
    let expected =
        "c.yaml:3:14: servers[0].processor: changes with a restart alone: the number of workers: 1 run, 3 are wanted";
    assert_eq!((found.to_string().as_str(), found.kind), (expected, "needs_restart"));
    assert_eq!(needs_restart(&wanted, &wanted), []);
    let limited = varied("admin:\n", "overload: {streams: 5, memory: 50%, actions: {close_idle: 0}}\nadmin:\n");
    let base = resolved(BASE, None).unwrap();
    assert_eq!(needs_restart(&base, &resolved(&limited, None).unwrap()), []);
}

#[test]
fn order_of_keys_comments_and_notation_change_nothing() {
    for text in [BASE, FULL, EVERY_KEY] {
        let json = ConfigFile::parse(Path::new("c.yaml"), text).unwrap().root_json();
        let turned = turned(&json).to_string();
        let commented = format!("# a comment\n\n{text}\n# another\n");
        for other in [turned, commented] {
            let diff = between(text, &other);
            assert!(diff.is_same(), "{diff}\n{other}");
        }
    }
}

/// With the keys of every object in the other order.
fn turned(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            Value::Object(entries.iter().rev().map(|(key, value)| (key.clone(), turned(value))).collect())
        }
        Value::Array(elements) => elements.iter().map(turned).collect(),
        other => other.clone(),
    }
}

/// Where a leaf stands.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            entries.iter().for_each(|(key, value)| {
                leaves(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found)
            });
        }
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, value)| leaves(value, &format!("{at}/{index}"), found));
        }
        _ => found.push(at.to_owned()),
    }
}

/// Another value that may be as good.
fn changed(value: &Value) -> Value {
    match value {
        Value::Bool(value) => (!value).into(),
        Value::Number(number) => number.as_u64().map_or(json!(7), |number| json!(number + 1)),
        Value::String(text) if text.ends_with(|c: char| c.is_ascii_digit()) => {
            let (rest, digit) = text.split_at(text.len() - 1);
            format!("{rest}{}", if digit == "1" { "2" } else { "1" }).into()
        }
        Value::String(text) if text.ends_with('s') && text.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("1{text}").into()
        }
        Value::String(text) => format!("{text}x").into(),
        other => other.clone(),
    }
}

/// The names of one kind of thing that a diff mentions.
fn touched<P>(changes: &Changes<P>) -> Vec<String> {
    let changed = changes.changed.iter().map(|changed| &changed.name);
    changes.added.iter().chain(&changes.removed).chain(changed).map(|name| name.to_string()).collect()
}

/// Names of what stands at `pointer`, before and after.
fn names_at(documents: [&Value; 2], pointer: &str, keys: &[&str]) -> Vec<String> {
    let entries = documents.iter().filter_map(|document| document.pointer(pointer)?.as_object());
    entries.filter_map(|entry| keys.iter().find_map(|key| Some(entry.get(*key)?.as_str()?.to_owned()))).collect()
}

/// The first segments of a pointer.
fn head(pointer: &str, segments: usize) -> String {
    pointer.split('/').take(segments + 1).collect::<Vec<_>>().join("/")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn one_key_changes_one_thing(file in 0_usize..2, leaf in any::<prop::sample::Index>()) {
        let text = [FULL, EVERY_KEY][file];
        let document = ConfigFile::parse(Path::new("c.yaml"), text).unwrap().root_json();
        let mut pointers = Vec::new();
        leaves(&document, "", &mut pointers);
        let pointer = leaf.get::<String>(&pointers);
        let mut other = document.clone();
        let value = other.pointer_mut(pointer).unwrap();
        *value = changed(value);
        let Some(wanted) = resolved(&other.to_string(), None) else { return Ok(()) };
        let running = resolved(text, None).unwrap();
        let diff = diff(&running, &wanted);
        let within = |prefix: &str| pointer.starts_with(prefix);
        let (listeners, routers, clusters) = (touched(&diff.listeners), touched(&diff.routers), touched(&diff.clusters));
        let all = |touched: &[String], allowed: &[String]| touched.iter().all(|name| allowed.contains(name));
        if within("/cluster_manager/clusters/") {
            let names = names_at([&document, &other], &head(pointer, 3), &["name"]);
            prop_assert!(all(&clusters, &names), "{pointer}: {diff}");
            prop_assert!(listeners.is_empty() && routers.is_empty() && diff.process.is_empty(), "{pointer}: {diff}");
        } else if within("/servers/0/routers/") || pointer.contains("/virtual_hosts/") || pointer.ends_with("merge_slashes") {
            prop_assert!(routers.len() <= 2 && listeners.is_empty() && clusters.is_empty(), "{pointer}: {diff}");
            prop_assert!(diff.process.is_empty(), "{pointer}: {diff}");
        } else if within("/servers/0/listeners/") {
            let names = names_at([&document, &other], &head(pointer, 4), &["name", "address"]);
            prop_assert!(all(&listeners, &names), "{pointer}: {diff}");
            prop_assert!(routers.is_empty() && clusters.is_empty() && diff.process.is_empty(), "{pointer}: {diff}");
        } else {
            prop_assert!(routers.is_empty() && clusters.is_empty() && diff.modules.is_empty(), "{pointer}: {diff}");
            // What is said once for all logs and targets.
            let derived = [ListenerPart::AccessLogs, ListenerPart::TargetBytes];
            let parts: Vec<_> = diff.listeners.changed.iter().flat_map(|changed| &changed.what).collect();
            prop_assert!(parts.iter().all(|part| derived.contains(part)), "{pointer}: {diff}");
        }
        prop_assert_eq!(diff.is_same(), diff.to_string() == "nothing changes");
    }

    #[test]
    fn whatever_is_accepted_is_taken_over_whole(file in 0_usize..3, leaf in any::<prop::sample::Index>()) {
        let text = [BASE, FULL, EVERY_KEY][file];
        let mut document = ConfigFile::parse(Path::new("c.yaml"), text).unwrap().root_json();
        let mut pointers = Vec::new();
        leaves(&document, "", &mut pointers);
        let value = document.pointer_mut(leaf.get::<String>(&pointers)).unwrap();
        *value = changed(value);
        let Some(first) = resolved(&document.to_string(), None) else { return Ok(()) };
        let second = resolved(&document.to_string(), Some(&first)).unwrap();
        prop_assert!(diff(&first, &second).is_same());
        prop_assert!(second.successions.is_empty());
        let mut count = 0;
        for (place, factory) in first.filters_cache.factories() {
            count += 1;
            prop_assert!(Arc::ptr_eq(factory, second.filters_cache.factory(place).unwrap()), "{place:?}");
        }
        prop_assert_eq!(count, second.filters_cache.factories().count());
    }
}

#[test]
fn what_is_sent_is_what_was_read() {
    let dir = std::env::temp_dir().join(format!("sidegate-config-wire-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("clusters")).unwrap();
    let text =
        BASE.split("cluster_manager:").next().unwrap().to_owned() + "cluster_manager: {clusters_configs: clusters}\n";
    std::fs::write(dir.join("main.yaml"), text).unwrap();
    std::fs::write(dir.join("clusters/c.yaml"), "{name: c, hosts: [{address: '127.0.0.1:1'}], nobody: 1}").unwrap();
    std::fs::write(dir.join("clusters/note.txt"), "not read").unwrap();
    let (file, wire) = Wire::read(&dir.join("main.yaml"), Path::new("/elsewhere")).unwrap();
    let bytes = wire.to_bytes();
    std::fs::remove_dir_all(&dir).unwrap();
    let sent = ConfigFile::from_wire(&bytes).unwrap();
    assert_eq!((sent.digest(), sent.files().len()), (file.digest(), 0));
    let errors =
        |file: &ConfigFile| file.resolve(&registry().0, &env(), LoadMode::NoLoad, None).unwrap_err().to_string();
    assert!(errors(&file).contains("clusters/c.yaml:1:"), "{}", errors(&file));
    assert_eq!(errors(&sent), errors(&file));
    for (bytes, expected) in [
        ("{", "expected a JSON object"),
        ("{}", "as `name`, found none"),
        (r#"{"name": "a", "folder": "b"}"#, "expected an absolute path as `folder`, found b"),
        (r#"{"name": "a", "folder": "/"}"#, "as `files`, found none"),
        (r#"{"name": "a", "folder": "/", "files": {"a": 1}}"#, "expected texts in `files`"),
        (r#"{"name": "a", "folder": "/", "files": {"b": ""}}"#, "found no \"a\""),
        (r#"{"name": "a.json", "folder": "/", "files": {"a.json": "{"}}"#, "a.json:1:2: expected"),
    ] {
        let error = ConfigFile::from_wire(bytes.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{bytes}: {error}");
    }
}
