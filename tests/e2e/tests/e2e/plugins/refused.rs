//! What configurations of plugins may not say.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, TempDir, artifact, sidegate};

use super::{PROGRAM, entry};

fn check(filters: &[Value]) -> String {
    let dir = TempDir::new();
    dir.write("text", "not to be executed");
    let mut config = ConfigBuilder::to(([127, 0, 0, 1], 9).into());
    for filter in filters {
        config = config.filter(filter.clone());
    }
    let file = dir.write("config.json", config.build(dir.path()).to_string());
    let checked = sidegate(["check", "-c", file.to_str().unwrap()]);
    assert_eq!(checked.code, Some(1), "{}", checked.output());
    checked.output()
}

#[test]
fn mistakes_are_named_where_they_are() {
    let of = |config: Value| check(&[json!({"type": "plugin", "config": config})]);
    for (config, said) in [
        (json!({}), "expected one of command, address, found none"),
        (json!({"command": "./nowhere"}), "nowhere: No such file"),
        (json!({"command": "./text"}), "text cannot be executed: Permission denied"),
        (json!({"command": "/tmp"}), "expected a regular file, found a directory"),
        (json!({"command": "sh", "timeot": "1s"}), "did you mean \"timeout\"?"),
        (json!({"command": "sh", "timeout": "0s"}), "expected a duration above zero"),
        (json!({"command": "sh", "on_error": "open"}), "expected \"deny\" or \"allow\""),
        (json!({"command": "sh", "env": {"A=B": "c"}}), "expected the name of a variable"),
        (json!({"command": "sh", "address": "unix:/x"}), "expected one of command, address, found command and address"),
        (json!({"command": "sh", "limits": {"memory": 1}}), "expected an integer from 1048576"),
        (json!({"command": "sh", "limits": {"cpus": 0}}), "expected a number from 0.01"),
        (json!({"command": "sh", "limits": {"cgroup": "here"}}), "expected an absolute path"),
        (json!({"command": "sh", "directory": "nowhere"}), "nowhere is no folder"),
        (json!({"address": "unix:/x", "limits": {"tasks": 3}}), "means nothing beside `address`"),
        (json!({"address": "10.0.0.1:80"}), "10.0.0.1 is not loopback"),
        (json!({"address": "example.com:80"}), "expected `unix:/path`"),
        (json!({"address": "unix:/x", "args": ["a"]}), "means nothing beside `address`"),
    ] {
        let output = of(config.clone());
        assert!(output.contains(said), "{config}: {output}");
    }
}

#[test]
fn one_name_is_one_plugin() {
    let mut other = entry("plain", json!({}));
    other["name"] = "other".into();
    let output = check(&[entry("", json!({})), other.clone()]);
    let said = format!("another filter has a plugin called {PROGRAM:?} that is started in another way");
    assert!(output.contains(&said), "{output}");
    assert!(artifact(PROGRAM).exists());
}
