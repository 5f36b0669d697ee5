//! Modules that a configuration knows by name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Outcome, Proxy, ProxyOptions, TempDir, sidegate};

use super::Module;

fn by_name(module: &str) -> Value {
    json!({"type": "loadso", "so_config": {"module": module, "filter": "refuse"}})
}

/// A folder with a configuration that names its directory `modules`, in which
/// the module is `guard.so`.
fn folder(config: ConfigBuilder) -> TempDir {
    let module = Module::compile_file("tests/e2e/modules/refuse.c");
    let dir = TempDir::new();
    fs::create_dir(dir.join("modules")).unwrap();
    fs::copy(&module.file, dir.join("modules/guard.so")).unwrap();
    let config = config.top("modules", json!({"directories": ["modules"]}));
    let text = serde_json::to_string_pretty(&config.build(dir.path())).unwrap();
    dir.write("config.json", text);
    dir
}

fn to_nobody() -> ConfigBuilder {
    ConfigBuilder::to("127.0.0.1:9".parse().unwrap())
}

fn check(dir: &TempDir, more: &[&str]) -> Outcome {
    let file = dir.join("config.json");
    let mut arguments = vec!["check", "-c", file.to_str().unwrap()];
    arguments.extend(more);
    sidegate(arguments)
}

#[test]
fn a_filter_comes_from_the_module_of_that_name() {
    let origin = Origin::echo();
    let dir = folder(ConfigBuilder::to(origin.address()).filter(by_name("guard")));
    let file = dir.join("config.json");
    let proxy = Proxy::run(dir, &file, &ProxyOptions::default());
    assert_eq!(proxy.get("/x").status(), 200);
    let modules = proxy.admin_get("/api/v1/modules").json();
    assert_eq!(modules["modules"][0]["name"], "guard", "{modules}");
    assert!(modules["modules"][0]["file"].as_str().unwrap().ends_with("/modules/guard.so"), "{modules}");
}

#[test]
fn a_name_that_nothing_has_is_refused_with_the_nearest() {
    let dir = folder(to_nobody().filter(by_name("gaurd")));
    let outcome = check(&dir, &["--format", "json"]);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let error = &report["errors"][0];
    assert_eq!((outcome.code, error["kind"].as_str()), (Some(1), Some("undefined")), "{report}");
    assert_eq!(error["path"], "servers[0].listeners[0].stream_filters[0].so_config.module");
    assert!(error["message"].as_str().unwrap().contains("did you mean \"guard\"?"), "{error}");
}

#[test]
fn what_nothing_uses_is_looked_at_by_check_alone() {
    let dir = folder(to_nobody());
    dir.write("modules/broken.so", "no library");
    let outcome = check(&dir, &["--format", "json"]);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((outcome.code, &report["ok"]), (Some(0), &json!(true)), "{report}");
    let [warning] = &report["warnings"].as_array().unwrap()[..] else { panic!("{report}") };
    assert_eq!(warning["kind"], "not_elf", "{warning}");
    assert!(warning["message"].as_str().unwrap().starts_with("module broken, which no filter comes from"), "{warning}");
    let text = check(&dir, &[]);
    assert!(text.stderr.contains("warning: module broken, which no filter"), "{}", text.output());
}

#[test]
fn a_directory_that_everybody_may_write_to_is_refused_unless_that_is_allowed() {
    let dir = folder(to_nobody());
    fs::set_permissions(dir.join("modules"), fs::Permissions::from_mode(0o777)).unwrap();
    let outcome = check(&dir, &["--format", "json"]);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["errors"][0]["kind"], "writable_directory", "{report}");
    assert_eq!(report["errors"][0]["path"], "modules.directories[0]", "{report}");
    let allowed = to_nobody().top("modules", json!({"directories": ["modules"], "allow": ["writable_directory"]}));
    dir.write("config.json", allowed.build(dir.path()).to_string());
    let outcome = check(&dir, &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
}

#[test]
fn inspect_finds_a_module_by_name() {
    let dir = folder(to_nobody());
    let file = dir.join("config.json");
    let inspect = |name: &str| sidegate(["inspect".as_ref(), Path::new(name), "-c".as_ref(), file.as_path()]);
    let found = inspect("guard");
    assert_eq!(found.code, Some(0), "{}", found.output());
    assert!(found.stdout.contains("modules/guard.so"), "{}", found.stdout);
    let unknown = inspect("gard");
    assert_eq!(unknown.code, Some(1));
    assert!(
        unknown.stderr.contains("no module of `modules.directories` is called \"gard\"; did you mean \"guard\"?"),
        "{}",
        unknown.stderr
    );
}
