//! Bad configurations and the exact lines they give.

use std::sync::atomic::Ordering;

use super::support::{BASE, errors, lines, load, load_with, registry, varied};
use crate::LoadMode;
use crate::document::{self, Format};

/// What the short names in the table stand for.
const SHORT: [(&str, &str); 6] = [
    ("{P}", "{L}.filter_chains[0].filters[0].config"),
    ("{F}", "{L}.stream_filters[0]"),
    ("{L}", "servers[0].listeners[0]"),
    ("{R}", "{V}.routers[0]"),
    ("{V}", "servers[0].routers[0].virtual_hosts[0]"),
    ("{C}", "cluster_manager.clusters[0]"),
];

/// The replacements of `bad.yaml`.
pub(crate) fn mistakes() -> Vec<(String, String)> {
    let table = document::parse(include_str!("bad.yaml"), Format::Yaml).unwrap().to_json();
    let text = |case: &serde_json::Value, key: &str| case[key].as_str().unwrap().to_owned();
    table.as_array().unwrap().iter().map(|case| (text(case, "from"), text(case, "to"))).collect()
}

#[test]
fn each_mistake_gives_its_error() {
    let table = document::parse(include_str!("bad.yaml"), Format::Yaml).unwrap().to_json();
    let mut wrong = String::new();
    for case in table.as_array().unwrap() {
        let text = |key: &str| case[key].as_str().unwrap();
        let expected = case["errors"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
        let expected: Vec<String> = expected.map(spelt_out).collect();
        let found: Vec<String> =
            errors(&varied(text("from"), text("to"))).iter().map(|line| line.replace("c.yaml:", "")).collect();
        if found != expected {
            wrong.push_str(&format!("{}\n  expected {expected:#?}\n  found    {found:#?}\n", text("to")));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn spelt_out(line: &str) -> String {
    SHORT.iter().fold(line.to_owned(), |line, (short, long)| line.replace(short, long))
}

#[test]
fn documents() {
    for (text, expected) in [
        ("", "c.yaml:1:1: expected an object, found null"),
        ("[]", "c.yaml:1:1: expected an object, found an array"),
        ("pid: 1\npid: 2\nservers: []", "c.yaml:2:1: pid: key stands twice; the first is at c.yaml:1:1"),
        ("pid: 1", "c.yaml:1:1: servers: required key is missing; expected an array with one server"),
        ("servers: []", "c.yaml:1:10: servers: expected exactly one server, found 0"),
        ("server: []", "c.yaml:1:1: server: unknown key; did you mean \"servers\"?"),
        (
            "a: [",
            "c.yaml:2:1: expected valid YAML, found an error: while parsing a node, did not find expected node content",
        ),
    ] {
        assert_eq!(errors(text)[0], expected, "{text}");
    }
    let error = load_with("c.json", "{\n  \"servers\": [},\n}", LoadMode::Load).unwrap_err();
    assert_eq!(error.to_string(), "c.json:2:15: expected a value, found '}'");
}

#[test]
fn everything_is_reported_at_once_and_nothing_is_built_then() {
    let text = BASE
        .replace("cluster_name: c", "cluster_name: nope")
        .replace("127.0.0.1:2046", "127.0.0.1")
        .replace("{User: admin}", "{User: 7}")
        .replace("default_log_level: INFO", "default_log_levl: INFO")
        .replace("127.0.0.1:8080", "localhost")
        .replace("port_value: 34901", "port_value: 70000");
    assert_eq!(
        errors(&text),
        [
            "c.yaml:3:3: servers[0].default_log_levl: unknown key; did you mean \"default_log_level\"?",
            "c.yaml:11:31: servers[0].routers[0].virtual_hosts[0].routers[0].route.cluster_name: \
             cluster \"nope\" is not defined; defined are c",
            "c.yaml:14:14: servers[0].listeners[0].address: \
             expected IP:port, :port, localhost:port or unix:/path, found string \"127.0.0.1\"",
            "c.yaml:21:22: servers[0].listeners[0].stream_filters[0].config.User: expected a string, found 7",
            "c.yaml:26:16: cluster_manager.clusters[0].hosts[0].address: \
             \"localhost\" is a name, which only clusters of type STRICT_DNS resolve; \
             expected IP:port, :port, localhost:port or unix:/path, found string \"localhost\"",
            "c.yaml:28:60: admin.address.socket_address.port_value: \
             expected an integer from 0 to 65535, found number 70000",
        ]
    );
    let (registry, builder) = registry();
    let file = crate::ConfigFile::parse("c.yaml".as_ref(), &text).unwrap();
    assert!(file.resolve(&registry, &super::support::env(), LoadMode::Load, None).is_err());
    assert_eq!((builder.checks.load(Ordering::Relaxed), builder.builds.load(Ordering::Relaxed)), (1, 0));
}

#[test]
fn admin_names_and_modes_are_checked() {
    let admin = "address: {socket_address: {address: 0.0.0.0, port_value: 34901}}";
    for (text, expected) in [
        ("address: {unix: /tmp/a, mode: '0999'}", "mode: expected three octal digits such as \"0660\""),
        ("address: {unix: /tmp/a, mode: '+66'}", "mode: expected three octal digits such as \"0660\""),
        ("address: {unix: /tmp/a, mode: 0660}", "mode: expected a string"),
        ("address: {unix: /tmp/a}\n  hosts: ['a:80']", "hosts[0]: expected a host name without port"),
        ("address: {unix: /tmp/a}\n  hosts: ['']", "hosts[0]: expected a host name without port"),
    ] {
        let errors = errors(&BASE.replace(admin, text));
        assert!(errors[0].contains(expected), "{text}: {errors:?}");
    }
}

#[test]
fn errors_for_machines() {
    let errors = load(&varied("cluster_name: c", "cluster_name: d")).unwrap_err();
    assert_eq!(
        errors.to_json(),
        serde_json::json!([{
            "file": "c.yaml",
            "line": 11,
            "column": 31,
            "path": "servers[0].routers[0].virtual_hosts[0].routers[0].route.cluster_name",
            "kind": "undefined",
            "message": "cluster \"d\" is not defined; did you mean \"c\"?",
            "expected": "the name of a cluster",
            "found": "string \"d\"",
        }])
    );
}

#[test]
fn an_error_in_a_definition_is_not_repeated_where_it_is_used() {
    let text = varied("127.0.0.1:8080", "nowhere").replace("match: {prefix: /}", "match: {prefix: x}");
    assert_eq!(errors(&text).len(), 2, "{:?}", lines(&load(&text).unwrap_err().errors));
}
