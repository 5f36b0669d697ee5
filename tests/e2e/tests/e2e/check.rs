//! `sidegate check`: everything a start would validate, and nothing else.

use std::net::TcpListener;

use crate::modules::Module;
use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Outcome, TempDir, artifact, sidegate};

fn check(config: &Value, more: &[&str]) -> Outcome {
    let dir = TempDir::new();
    let file = dir.write("config.json", serde_json::to_string_pretty(config).unwrap());
    let mut arguments = vec!["check".to_owned(), "-c".to_owned(), file.to_str().unwrap().to_owned()];
    arguments.extend(more.iter().map(|&argument| argument.to_owned()));
    sidegate(arguments)
}

fn built(config: &ConfigBuilder) -> Value {
    config.build(TempDir::new().path())
}

fn valid() -> ConfigBuilder {
    ConfigBuilder::to("127.0.0.1:9".parse().unwrap())
}

#[test]
fn it_binds_no_port_and_contacts_nobody() {
    let origin = Origin::echo();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin_port = other.local_addr().unwrap().port();
    let admin = json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin_port}}});
    let config =
        ConfigBuilder::to(origin.address()).in_listener("address", json!(address.to_string())).top("admin", admin);
    let outcome = check(&built(&config), &[]);
    assert_eq!(outcome.code, Some(0), "a port in use is none of its business: {}", outcome.output());
    assert_eq!(origin.connections(), 0);
}

#[test]
fn it_opens_no_log() {
    let dir = TempDir::new();
    let log = dir.join("server.log");
    let config = valid().in_server("default_log_path", json!(log)).build(dir.path());
    assert_eq!(check(&config, &[]).code, Some(0));
    assert!(!log.exists() && !dir.join("access.log").exists());
}

#[test]
fn the_verdict_for_machines() {
    let outcome = check(&built(&valid()), &["--format", "json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    let report: Value = serde_json::from_str(&outcome.stdout).expect("one JSON document on stdout");
    assert_eq!(report["errors"], json!([]), "{report}");

    let config = valid().in_listener("addres", json!("127.0.0.1:0")).in_server("graceful_timeout", json!("30"));
    let outcome = check(&built(&config), &["--format", "json"]);
    assert_eq!(outcome.code, Some(1));
    let report: Value = serde_json::from_str(&outcome.stdout).expect("one JSON document on stdout");
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "all at once: {report}");
    for error in errors {
        for key in ["file", "line", "column", "path", "message"] {
            assert!(!error[key].is_null(), "{key} is missing in {error}");
        }
    }
    let duration = errors.iter().find(|error| error["path"] == "servers[0].graceful_timeout").expect("that path");
    assert!(duration["found"].to_string().contains("30"), "{duration}");
    let typo = errors.iter().find(|error| error["path"] == "servers[0].listeners[0].addres").expect("that path");
    assert!(typo["message"].as_str().unwrap().contains("address"), "the nearest right name: {typo}");
}

#[test]
fn errors_for_people_name_file_line_and_column() {
    let dir = TempDir::new();
    let mut text = serde_json::to_string_pretty(&built(&valid())).unwrap();
    text = text.replace("\"filter_chains\"", "\"filter_chians\"");
    let line = 1 + text.lines().position(|line| line.contains("filter_chians")).unwrap();
    let file = dir.write("typo.json", &text);
    let outcome = sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str()]);
    assert_eq!(outcome.code, Some(1));
    let output = outcome.output();
    assert!(output.contains(&format!("typo.json:{line}:")), "{output}");
    assert!(output.contains("filter_chians") && output.contains("filter_chains"), "{output}");
}

#[test]
fn syntax_errors_name_their_place() {
    let dir = TempDir::new();
    for (name, text, place) in [
        ("cut.json", "{\n  \"servers\": [\n", ":"),
        ("comma.json", "{\n  \"servers\": [,]\n}", ":2:"),
        ("twice.json", "{\n  \"servers\": [],\n  \"servers\": []\n}", ":3:"),
        ("tab.yaml", "servers:\n\t- x\n", ":2:"),
        ("empty.json", "", ":"),
    ] {
        let file = dir.write(name, text);
        let outcome = sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str()]);
        assert_eq!(outcome.code, Some(1), "{name}: {}", outcome.output());
        assert!(outcome.output().contains(&format!("{name}{place}")), "{name}: {}", outcome.output());
    }
}

#[test]
fn strictness() {
    let host = |host: Value| valid().virtual_host_object(host);
    let route_with = |matcher: Value, route: Value| {
        host(json!({"name": "x", "domains": ["x"], "routers": [{"match": matcher, "route": route}]}))
    };
    let to_origin = json!({"cluster_name": "origin"});
    let twice = |key: &str| {
        let mut config = built(&valid());
        let (parent, clash) = match key {
            "listener" => {
                let mut other = config["servers"][0]["listeners"][0].clone();
                other["address"] = json!("127.0.0.1:1");
                (config["servers"][0]["listeners"].as_array_mut().unwrap(), other)
            }
            "address" => {
                config["servers"][0]["listeners"][0]["address"] = json!("127.0.0.1:1");
                let mut other = config["servers"][0]["listeners"][0].clone();
                other["name"] = json!("other");
                (config["servers"][0]["listeners"].as_array_mut().unwrap(), other)
            }
            "router" => {
                let other = config["servers"][0]["routers"][0].clone();
                (config["servers"][0]["routers"].as_array_mut().unwrap(), other)
            }
            _ => {
                let other = config["cluster_manager"]["clusters"][0].clone();
                (config["cluster_manager"]["clusters"].as_array_mut().unwrap(), other)
            }
        };
        parent.push(clash);
        config
    };
    let cases: Vec<(&str, Value, &str)> = vec![
        ("unknown key", built(&valid().top("serverz", json!(1))), "serverz"),
        ("unknown key in a cluster", built(&valid().in_cluster("host", json!([]))), "clusters[0].host"),
        ("unknown key of the proxy filter", built(&valid().in_proxy("time_outs", json!({}))), "time_outs"),
        ("unregistered filter type", built(&valid().filter(json!({"type": "nobody"}))), "nobody"),
        (
            "undefined cluster",
            built(&route_with(json!({"prefix": "/"}), json!({"cluster_name": "nowhere"}))),
            "nowhere",
        ),
        ("undefined router", built(&valid().in_proxy("router_config_name", json!("nowhere"))), "nowhere"),
        ("listener name twice", twice("listener"), "listeners[1]"),
        ("listener address twice", twice("address"), "listeners[1].address"),
        ("cluster twice", twice("cluster"), "clusters[1]"),
        ("router twice", twice("router"), "routers[1]"),
        ("bad listener address", built(&valid().in_listener("address", json!("somewhere"))), "somewhere"),
        ("bad host address", built(&valid().in_cluster("hosts", json!([{"address": "1.2.3:x"}]))), "1.2.3:x"),
        ("bad port", built(&valid().in_listener("address", json!("127.0.0.1:65536"))), "65536"),
        ("bad regex", built(&route_with(json!({"regex": "("}), to_origin.clone())), "regex"),
        ("bad duration", built(&valid().in_cluster("connect_timeout", json!("10"))), "connect_timeout"),
        ("negative duration", built(&valid().timeout("response", "-1s")), "response"),
        ("wrong type", built(&valid().in_cluster("max_request_per_conn", json!("many"))), "max_request_per_conn"),
        (
            "bad redirect code",
            built(&host(json!({
                "name": "x", "domains": ["x"],
                "routers": [{"match": {"prefix": "/"}, "redirect": {"response_code": 200, "path_redirect": "/"}}]
            }))),
            "response_code",
        ),
        (
            "bad header to add",
            built(&valid().in_router(
                "request_headers_to_add",
                json!([
                    {"header": {"key": "x y", "value": "1"}}
                ]),
            )),
            "request_headers_to_add",
        ),
        (
            "line break in a header to add",
            built(&valid().in_router(
                "response_headers_to_add",
                json!([
                    {"header": {"key": "x", "value": "1\r\ny: 2"}}
                ]),
            )),
            "response_headers_to_add",
        ),
        (
            "framing in a header to add",
            built(&valid().in_router(
                "response_headers_to_add",
                json!([
                    {"header": {"key": "Content-Length", "value": "1"}}
                ]),
            )),
            "response_headers_to_add",
        ),
        ("bad forwarding policy", built(&valid().forwarding("x_forwarded_for", "apend")), "apend"),
        (
            "no such module",
            built(&valid().filter(json!({"type": "x", "so_config": {"so_path": "./none.so"}}))),
            "none.so",
        ),
        ("no server", json!({"servers": []}), "servers"),
    ];
    let mut wrong = Vec::new();
    for (what, config, named) in cases {
        let outcome = check(&config, &[]);
        let output = outcome.output();
        if outcome.code != Some(1) || !output.contains(named) || output.contains("panicked") {
            wrong.push(format!("- {what}: exit {:?}, wanted 1 and {named:?} in: {output}", outcome.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn known_keys_without_effect_are_warned_about_with_their_paths() {
    let config = valid()
        .top("disable_upgrade", json!(true))
        .in_proxy("upstream_protocol", json!("Http2"))
        .in_cluster("slow_start", json!({"mode": "duration"}));
    let outcome = check(&built(&config), &["--format", "json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let paths: Vec<&str> = report["warnings"].as_array().unwrap().iter().filter_map(|w| w["path"].as_str()).collect();
    for wanted in [
        "disable_upgrade",
        "servers[0].listeners[0].filter_chains[0].filters[0].config.upstream_protocol",
        "cluster_manager.clusters[0].slow_start",
    ] {
        assert!(paths.contains(&wanted), "{wanted} is missing among {paths:?}");
    }
}

#[test]
fn modules_are_loaded_unless_asked_not_to() {
    // Its manifest does not know which names HTTP allows.
    let edits = json!({"request": {"remove": ["x y"]}});
    let filter = json!({"type": "x", "so_config": {"so_path": artifact("libheaders.so")}, "config": edits});
    let config = built(&valid().filter(filter));
    let loaded = check(&config, &[]);
    assert_eq!(loaded.code, Some(1), "the factory refuses a blank: {}", loaded.output());
    let unloaded = check(&config, &["--no-load"]);
    assert_eq!(unloaded.code, Some(0), "{}", unloaded.output());
    // The preflight needs no loading.
    let dir = TempDir::new();
    let broken = dir.write("broken.so", "this is no module");
    let config = built(&valid().filter(json!({"type": "x", "so_config": {"so_path": broken}})));
    assert_eq!(check(&config, &["--no-load"]).code, Some(1));
}

#[test]
fn configurations_are_held_to_manifests_before_modules_are_loaded() {
    let entry = |module: &str, filter: &str, config: Value| {
        let so_config = json!({"so_path": artifact(module), "filter": filter});
        built(&valid().filter(json!({"type": "x", "so_config": so_config, "config": config})))
    };
    let at = "servers[0].listeners[0].stream_filters[0]";
    for module in ["libauth.so", "libauth_c.so"] {
        let wrong = entry(module, "", json!({"User": 31_337}));
        for options in [&["--no-load"][..], &[]] {
            let outcome = check(&wrong, options);
            assert_eq!(outcome.code, Some(1), "{module}: {}", outcome.output());
            assert!(outcome.stderr.contains(&format!("{at}.config.User: expected")), "{}", outcome.output());
            // Values may be secret.
            assert!(!outcome.output().contains("31337"), "{}", outcome.output());
        }
        assert_eq!(check(&entry(module, "", json!({"User": "a"})), &["--no-load"]).code, Some(0), "{module}");
    }
    let plans = json!({"header": "x-key", "plans": {"paid": ["a"], "free": "b"}});
    let outcome = check(&entry("libmulti.so", "plan", plans), &["--no-load"]);
    assert!(outcome.stderr.contains(&format!("{at}.config.plans.free: expected")), "{}", outcome.output());
    let outcome = check(&entry("libmulti.so", "paywal", json!({})), &["--no-load"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains(&format!("{at}.so_config.filter: ")), "{}", outcome.output());
    assert!(outcome.stderr.contains("paywall"), "{}", outcome.output());
}

#[test]
fn what_routes_say_is_held_to_manifests_too() {
    let so_config = json!({"so_path": artifact("librate_limit.so")});
    let own = json!({"requests": 100, "per": "1s"});
    let filter = json!({"type": "x", "name": "limit", "so_config": so_config, "config": own});
    let of_route = |limit: Value| {
        let mut config = built(&valid().filter(filter.clone()));
        let host = &mut config["servers"][0]["routers"][0]["virtual_hosts"][0];
        host["per_filter_config"] = json!({"limit": {"requests": 31_337, "per": "1s"}});
        host["routers"][0]["per_filter_config"] = json!({"limit": limit});
        config
    };
    let good = of_route(json!({"requests": 1, "per": "1s", "name": "login"}));
    assert_eq!(check(&good, &["--no-load"]).code, Some(0));
    let at = "servers[0].routers[0].virtual_hosts[0].routers[0].per_filter_config.limit";
    for options in [&["--no-load"][..], &[]] {
        let outcome = check(&of_route(json!({"requests": "many", "per": "1s", "nmae": "login"})), options);
        assert_eq!(outcome.code, Some(1), "{}", outcome.output());
        assert!(outcome.stderr.contains(&format!("{at}.requests: expected what the manifest")), "{}", outcome.output());
        assert!(outcome.stderr.contains("did you mean \"name\"?"), "{}", outcome.output());
        // Values may be secret, and the virtual host's is good.
        assert!(!outcome.output().contains("many") && !outcome.output().contains("31337"), "{}", outcome.output());
    }
    let shown = sidegate(["inspect".as_ref(), artifact("librate_limit.so").as_os_str()]);
    assert!(shown.stdout.contains("phases        after_route"), "{}", shown.output());
    assert!(shown.stdout.contains("per route     {"), "{}", shown.output());
}

#[test]
fn clusters_that_a_manifest_names_and_nobody_has_are_warned_of() {
    let text = r#"-DMANIFEST="{\"clusters\": [{\"name\": \"usres\"}, {\"name\": \"records\"}]}""#;
    let module = Module::compile_with("tests/modules/record.c", &[text]);
    let config = valid().filter(module.entry("", &json!({}))).cluster("users", &["127.0.0.1:9".parse().unwrap()]);
    let outcome = check(&built(&config), &["--no-load", "--format", "json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let warnings = report["warnings"].as_array().unwrap();
    let missing: Vec<&str> = warnings
        .iter()
        .filter(|warning| warning["kind"] == "cluster_missing")
        .map(|warning| warning["message"].as_str().unwrap())
        .collect();
    let [first, second] = missing[..] else { panic!("{report}") };
    assert!(first.contains("\"usres\"") && first.contains("did you mean \"users\"?"), "{first}");
    assert!(second.contains("\"records\"") && !second.contains("did you mean"), "{second}");
}

#[test]
fn a_manifest_is_shown_and_makes_a_page() {
    for (module, name) in [("libauth.so", "auth"), ("libauth_c.so", "auth-c")] {
        let file = artifact(module);
        let inspect = |option: &[&str]| {
            let mut args: Vec<&std::ffi::OsStr> = vec!["inspect".as_ref(), file.as_os_str()];
            args.extend(option.iter().map(std::ffi::OsStr::new));
            sidegate(args)
        };
        let text = inspect(&[]);
        assert!(text.stdout.contains(&format!("filter          {name}")), "{}", text.output());
        let json: Value = serde_json::from_str(&inspect(&["--format", "json"]).stdout).unwrap();
        assert_eq!(json["manifest"]["licence"], "Apache-2.0");
        assert_eq!(json["manifest"]["filters"][0]["config"]["additionalProperties"]["type"], "string");
        let page = inspect(&["--markdown"]);
        assert_eq!(page.code, Some(0), "{}", page.output());
        assert!(page.stdout.starts_with(&format!("# {name} 1.0.0")), "{}", page.output());
        assert!(page.stdout.contains(&format!("## Filter `{name}`")), "{}", page.output());
    }
}

#[test]
fn a_pinned_hash_is_checked() {
    let entry = |sha256: &str| json!({"type": "x", "so_config": {"so_path": artifact("libauth.so"), "sha256": sha256}, "config": {"User": "a"}});
    let outcome = check(&built(&valid().filter(entry(&"0".repeat(64)))), &[]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.output());
    assert!(outcome.output().contains(&"0".repeat(64)), "{}", outcome.output());
    let sum = sidegate_harness::run(std::process::Command::new("sha256sum").arg(artifact("libauth.so")));
    let hash = sum.stdout.split_whitespace().next().unwrap();
    let outcome = check(&built(&valid().filter(entry(hash))), &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
}

#[test]
fn a_module_is_judged_whatever_else_is_wrong() {
    let module = json!({"type": "x", "so_config": {"so_path": artifact("libauth.so")}, "config": {"User": 1}});
    let outcome = check(&built(&valid().filter(json!({"type": "nobody"})).filter(module)), &[]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("\"nobody\" is not registered"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("stream_filters[1].config.User"), "{}", outcome.stderr);
}

#[test]
fn without_proc_it_is_said_that_it_is_missing() {
    let dir = TempDir::new();
    let module = json!({"type": "x", "so_config": {"so_path": artifact("libauth.so")}, "config": {"User": "a"}});
    let file = dir.write("config.json", valid().filter(module).build(dir.path()).to_string());
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", "umount -l /proc && exec \"$0\" check -c \"$1\""]);
    let outcome = sidegate_harness::run(command.arg(sidegate_harness::binary()).arg(&file));
    if outcome.stderr.contains("unshare:") || outcome.stderr.contains("umount:") {
        eprintln!("skipped: mounts cannot be changed here: {}", outcome.stderr);
        return;
    }
    assert_eq!(outcome.code, Some(1), "{}", outcome.output());
    assert!(outcome.stderr.contains("expected /proc, through which modules are loaded"), "{}", outcome.stderr);
}

#[test]
fn logs_are_found_where_modules_are_and_unwritable_ones_are_said() {
    let (dir, elsewhere) = (TempDir::new(), TempDir::new());
    elsewhere.write("there.log", "");
    std::fs::create_dir(dir.join("folder.log")).unwrap();
    let logs = json!([{"log_path": "there.log"}, {"log_path": "new.log"}]);
    let config = valid().in_listener("access_logs", logs).build(dir.path());
    let file = dir.write("config.json", config.to_string());
    let options = sidegate_harness::ProxyOptions {
        directory: Some(elsewhere.path().to_owned()),
        ..sidegate_harness::ProxyOptions::default()
    };
    let proxy = sidegate_harness::Proxy::run(TempDir::new(), &file, &options);
    assert_ne!(proxy.get("/").status(), 0);
    sidegate_harness::until("the line in both logs", || {
        let lines = |path| std::fs::read_to_string(path).is_ok_and(|text| text.lines().count() == 1);
        (lines(elsewhere.join("there.log")) && lines(dir.join("new.log"))).then_some(())
    });
    let logs = json!([{"log_path": dir.join("folder.log")}, {"log_path": "/proc/nowhere/a.log"}]);
    let outcome = check(&built(&valid().in_listener("access_logs", logs)), &["--format", "json"]);
    assert_eq!(outcome.code, Some(0), "another user may write: {}", outcome.output());
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let messages: Vec<&str> =
        report["warnings"].as_array().unwrap().iter().filter_map(|w| w["message"].as_str()).collect();
    assert!(messages[0].ends_with("folder.log is a folder"), "{messages:?}");
}
