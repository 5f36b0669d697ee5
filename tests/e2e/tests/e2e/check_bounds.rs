//! What a configuration may cost to check, and what is no file to read.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Outcome, TempDir, artifact, binary, run_reading, sidegate};

fn valid() -> ConfigBuilder {
    ConfigBuilder::to("127.0.0.1:9".parse().unwrap())
}

fn check_file(file: &Path) -> Outcome {
    sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str()])
}

fn check(config: &ConfigBuilder) -> Outcome {
    let dir = TempDir::new();
    check_file(&dir.write("config.json", config.build(dir.path()).to_string()))
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Refused with these words, and well before a FIFO could have waited.
#[track_caller]
fn refused(outcome: &Outcome, words: &[&str]) {
    assert_eq!(outcome.code, Some(1), "{}", outcome.output());
    for word in words {
        assert!(outcome.stderr.contains(word), "no {word:?} in {}", outcome.stderr);
    }
}

#[test]
fn what_is_no_file_is_refused_as_a_configuration_without_waiting() {
    let dir = TempDir::new();
    let pipe = dir.join("pipe.yaml");
    fifo(&pipe);
    refused(&check_file(&pipe), &["pipe.yaml: ", "expected a regular file, found a FIFO"]);
    refused(&check_file(Path::new("/dev/zero")), &["found a character device"]);
    refused(&check_file(Path::new("/proc/self/environ")), &["found a link of /proc"]);
    refused(&check_file(Path::new("/proc/version")), &["found a file of /proc"]);
    refused(&check_file(Path::new("/dev/stdin")), &["found a link of /proc"]);
    refused(&check_file(dir.path()), &["found a directory"]);
    // Links to files are how Kubernetes mounts them.
    dir.write("real.json", valid().build(dir.path()).to_string());
    std::os::unix::fs::symlink("real.json", dir.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data", dir.join("link.json")).unwrap();
    assert_eq!(check_file(&dir.join("link.json")).code, Some(0));
}

#[test]
fn what_is_no_file_is_refused_where_others_are_included() {
    let dir = TempDir::new();
    let hosts = dir.join("hosts");
    std::fs::create_dir(&hosts).unwrap();
    fifo(&hosts.join("one.json"));
    let mut config = valid().build(dir.path());
    let router = config["servers"][0]["routers"][0].as_object_mut().unwrap();
    router.remove("virtual_hosts");
    router.insert("router_configs".to_owned(), json!("hosts"));
    let file = dir.write("config.json", config.to_string());
    refused(&check_file(&file), &["one.json", "found a FIFO"]);
}

#[test]
fn what_is_no_file_is_refused_as_a_key_set() {
    let dir = TempDir::new();
    let keys = dir.join("keys.json");
    fifo(&keys);
    for path in [keys.as_path(), Path::new("/dev/zero"), Path::new("/proc/self/environ")] {
        let provider = json!({"issuer": "me", "local_jwks": {"filename": path}});
        let filter = json!({"type": "jwt_authn", "config": {"providers": {"p": provider}}});
        refused(&check(&valid().filter(filter)), &["local_jwks.filename", "expected a regular file"]);
    }
}

#[test]
fn standard_input_is_read_up_to_a_bound() {
    let dir = TempDir::new();
    let good = dir.write("any", valid().build(dir.path()).to_string());
    let check = |file: &Path| run_reading(file, Command::new(binary()).args(["check", "-c", "-"]));
    let outcome = check(&good);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "<stdin>: ok\n"), "{}", outcome.output());
    let bad = dir.write("bad", "servers:\n- listenerz: []\n");
    refused(&check(&bad), &["<stdin>:2:3: servers[0].listenerz: unknown key"]);
    refused(&check(Path::new("/dev/zero")), &["expected at most 16777216 bytes"]);
}

#[test]
fn regular_expressions_have_a_budget() {
    let large = |number: usize| json!({"match": {"regex": format!("^/{number}/[a-z]{{50000}}")}, "route": {"cluster_name": "origin"}});
    let routes: Vec<Value> = (0..1000).map(large).collect();
    let begin = Instant::now();
    let outcome = check(&valid().virtual_host("large", &["large"], json!(routes)));
    refused(&outcome, &["match.regex: expected regular expressions that take at most 64 MiB together"]);
    // Without the budget it is minutes, and gigabytes.
    assert!(begin.elapsed() < Duration::from_secs(40), "{:?}", begin.elapsed());

    let one = json!([{"match": {"regex": r"(\w{200}){200}"}, "route": {"cluster_name": "origin"}}]);
    refused(&check(&valid().virtual_host("x", &["x"], one)), &["at most 10 MiB once compiled"]);

    // Those of filters count too.
    let headers: Vec<Value> =
        (0..200).map(|n| json!({"name": "x", "value": format!("{n}[a-z]{{50000}}"), "regex": true})).collect();
    let fault = json!({"type": "fault", "config": {"headers": headers}});
    refused(&check(&valid().filter(fault)), &["value: expected regular expressions that take at most 64 MiB together"]);
}

#[test]
fn a_hundred_errors_are_shown_and_the_rest_counted() {
    let wrong: Vec<Value> = (0..250).map(|n| json!({"name": format!("h{n}"), "domain": []})).collect();
    let mut config = valid();
    for host in wrong {
        config = config.virtual_host_object(host);
    }
    let outcome = check(&config);
    refused(&outcome, &["and 150 more errors"]);
    assert_eq!(outcome.stderr.lines().count(), 101, "{}", outcome.stderr);

    let dir = TempDir::new();
    let file = dir.write("config.json", config.build(dir.path()).to_string());
    let outcome = sidegate(["check", "-c", file.to_str().unwrap(), "--format", "json"]);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["errors"].as_array().unwrap().len(), 100);
    assert_eq!(report["omitted"], json!({"errors": 150, "warnings": 0}));
}

#[test]
fn settings_that_would_fault_every_request_are_refused() {
    let module =
        |config: Value| json!({"type": "x", "so_config": {"so_path": artifact("libheaders.so")}, "config": config});
    for edit in [json!({"remove": ["te"]}), json!({"set": {"Connection": "close"}}), json!({"add": {"host": "b"}})] {
        let outcome = check(&valid().filter(module(json!({"request": edit}))));
        refused(&outcome, &["config.request."]);
    }
    let rule = json!({"header": "te", "on_header_present": {"key": "k"}, "remove": true});
    let filter = json!({"type": "header_to_metadata", "config": {"request_rules": [rule]}});
    refused(&check(&valid().filter(filter)), &["request_rules[0].header: expected a header that is neither"]);
}

#[test]
fn permissions_of_modules_come_from_the_configuration() {
    let dir = TempDir::new();
    let open = dir.join("open");
    std::fs::create_dir(&open).unwrap();
    let module = open.join("libauth.so");
    std::fs::copy(artifact("libauth.so"), &module).unwrap();
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let filter = json!({"type": "x", "so_config": {"so_path": module}, "config": {"User": "a"}});
    let config = valid().filter(filter.clone());
    refused(&check(&config), &["so_config.so_path", "not writable by everybody", "0777"]);
    let allowed = config.clone().top("modules", json!({"allow": ["writable_directory"]}));
    let outcome = check(&allowed);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    let wrong = config.top("modules", json!({"allow": ["everything"]}));
    refused(&check(&wrong), &["modules.allow[0]: expected \"executable_stack\", "]);
    let sum = sidegate_harness::run(Command::new("sha256sum").arg(&module));
    let mut pinned = filter;
    pinned["so_config"]["sha256"] = json!(sum.stdout.split_whitespace().next().unwrap());
    let outcome = check(&valid().filter(pinned));
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
}
