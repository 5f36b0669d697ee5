//! The admin server's answers.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Message, Origin, Proxy, TempDir, artifact, until};

use crate::support::echo_pair;

#[track_caller]
fn ok(message: &Message) -> String {
    assert_eq!(message.status(), 200, "{}", message.text());
    message.text()
}

#[test]
fn version_and_states() {
    let (_origin, proxy) = echo_pair();
    assert!(ok(&proxy.admin_get("/api/v1/version")).contains(env!("CARGO_PKG_VERSION")));
    let states = ok(&proxy.admin_get("/api/v1/states"));
    assert_eq!(states.trim(), format!("pid={}&state=6", proxy.pid()), "6 is MOSN's number for running");
    assert_eq!(ok(&proxy.admin_get("/ready")).is_empty(), proxy.admin_get("/ready").body.is_empty());
}

#[test]
fn config_dump_shows_what_runs() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).filter(json!({"type": "demo", "config": {"User": "admin"}}));
    let proxy = Proxy::start(&config);
    let dump = proxy.admin_get("/api/v1/config_dump");
    let text = ok(&dump);
    assert!(dump.json().is_object());
    for wanted in ["main", "routes", "origin", &origin.address().to_string(), "demo", "admin"] {
        assert!(text.contains(wanted), "{wanted} is missing in {text}");
    }
    for (query, wanted) in [("allclusters", "origin"), ("alllisteners", "main"), ("allrouters", "routes")] {
        let part = proxy.admin_get(&format!("/api/v1/config_dump?{query}"));
        assert!(ok(&part).contains(wanted), "{query}: {}", part.text());
        assert!(part.json().is_object() || part.json().is_array());
    }
}

#[test]
fn config_dump_has_maps_of_what_runs_now() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let dump = |query: &str| proxy.admin_get(&format!("/api/v1/config_dump{query}")).json();
    let all = dump("");
    for (query, part, name) in [
        ("?alllisteners", "listener", "main"),
        ("?allclusters", "cluster", "origin"),
        ("?allrouters", "routers", "routes"),
    ] {
        assert_eq!(dump(query)[name], all[part][name], "{query}");
        assert!(all[part][name].is_object(), "{query}: {all}");
    }
    assert_eq!(dump("?mosnconfig"), all["mosn_config"]);
    assert!(all["mosn_config"]["servers"][0].get("listeners").is_none(), "listeners have a map of their own");
    let listener = dump("?listener=main");
    assert_eq!(listener["bound"], proxy.address().to_string(), "and not port 0, which was read: {listener}");
    assert_eq!(dump("?cluster=origin")["health"][0]["address"], origin.address().to_string());
    let change = json!({"log_path": "stdout", "log_level": "ERROR"}).to_string();
    ok(&proxy.admin_call("POST", "/api/v1/update_loglevel", "", &change));
    assert_eq!(dump("?mosnconfig")["servers"][0]["default_log_level"], "ERROR");
    assert_eq!(proxy.admin_get("/api/v1/config_dump?cluster=none").status(), 404);
}

#[test]
fn hosts_have_a_page() {
    let gate = sidegate_harness::Gate::new();
    let held = gate.clone();
    let origin = Origin::http(move |_| {
        held.wait();
        sidegate_harness::Reply::ok("done")
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait("the request", |origin| origin.count() == 1);
    let page = proxy.admin_get("/api/v1/hosts?cluster=origin").json();
    let cluster = &page["clusters"]["origin"];
    assert_eq!((&cluster["total"], &cluster["healthy"]), (&json!(1), &json!(1)), "{page}");
    let host = &cluster["hosts"][0];
    assert_eq!(host["address"], origin.address().to_string());
    assert_eq!((&host["active_requests"], &host["active_connections"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&host["healthy"], &host["failed_check"], &host["ejected"]),
        (&json!(true), &json!(false), &json!(false))
    );
    gate.open();
    assert_eq!(client.response().status(), 200);
    let info = proxy.admin_get("/server_info").json();
    assert_eq!(info["state"], "LIVE", "{info}");
}

#[test]
fn config_dump_hides_the_token() {
    let origin = Origin::echo();
    let admin = json!({
        "token": "very-secret-token",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).top("admin", admin));
    let dump = proxy.admin_get("/api/v1/config_dump");
    assert!(!dump.text().contains("very-secret-token"), "{}", dump.text());
}

#[test]
fn config_dump_hides_secrets_by_kind() {
    let origin = Origin::echo();
    let filter = json!({"type": "demo", "config": {"X-Door": "hidden-demo"}});
    let config = ConfigBuilder::to(origin.address()).filter(filter).in_router(
        "request_headers_to_add",
        json!([
            {"header": {"key": "Authorization", "value": "hidden-authorization"}},
            {"header": {"key": "x-api-key", "value": "hidden-key"}},
            {"header": {"key": "x-shown", "value": "shown-value"}},
        ]),
    );
    let proxy = Proxy::start(&config);
    for query in ["", "?mosnconfig", "?allrouters", "?alllisteners", "?router=routes", "?listener=main"] {
        let text = ok(&proxy.admin_get(&format!("/api/v1/config_dump{query}")));
        assert!(!text.contains("hidden-"), "{query}: {text}");
        assert!(text.contains("***REDACTED***") || query == "?mosnconfig", "{query}: {text}");
    }
    let all = ok(&proxy.admin_get("/api/v1/config_dump"));
    assert!(all.contains("shown-value") && all.contains("X-Door"), "names and other values are shown: {all}");
    let door = "GET / HTTP/1.1\r\nHost: a\r\nX-Door: hidden-demo\r\n\r\n";
    assert_eq!(proxy.exchange(door).status(), 200, "what is hidden still holds");
}

#[test]
fn log_levels_are_shown_and_changed() {
    let (_origin, proxy) = echo_pair();
    let before = ok(&proxy.admin_get("/api/v1/get_loglevel"));
    assert!(before.contains("INFO"), "{before}");
    let change = json!({"log_path": "stdout", "log_level": "DEBUG"}).to_string();
    ok(&proxy.admin_call("POST", "/api/v1/update_loglevel", "", &change));
    let after = ok(&proxy.admin_get("/api/v1/get_loglevel"));
    assert!(after.contains("DEBUG"), "{after}");
    for bad in ["{}", "nonsense", r#"{"log_path":"stdout","log_level":"LOUD"}"#] {
        let refused = proxy.admin_call("POST", "/api/v1/update_loglevel", "", bad);
        assert!((400..500).contains(&refused.status()), "{bad}: {}", refused.status());
    }
    assert!(ok(&proxy.admin_get("/api/v1/get_loglevel")).contains("DEBUG"));
}

#[test]
fn wrong_methods_and_pages() {
    let (_origin, proxy) = echo_pair();
    for path in ["/api/v1/version", "/api/v1/config_dump", "/api/v1/stats", "/api/v1/states", "/api/v1/modules"] {
        assert_eq!(proxy.admin_call("POST", path, "", "").status(), 405, "POST {path}");
    }
    assert_eq!(proxy.admin_get("/api/v1/update_loglevel").status(), 405);
    assert_eq!(proxy.admin_get("/nothing/here").status(), 404);
}

#[test]
fn the_admin_server_survives_bad_clients() {
    let (_origin, proxy) = echo_pair();
    for raw in ["\x16\x03\x01\r\n\r\n", "GET /ready HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET /ready\r\n\r\n"] {
        let mut client = sidegate_harness::Wire::connect(proxy.admin());
        client.send(raw).shutdown_write();
        let said = client.read_until_close();
        assert!(!said.starts_with(b"HTTP/1.1 200"), "{raw:?}");
    }
    let large = "x".repeat(10 << 20);
    let mut client = sidegate_harness::Wire::connect(proxy.admin());
    let _ = client.try_send(format!(
        "POST /api/v1/update_loglevel HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{large}",
        large.len()
    ));
    if let Ok(got) = client.try_response("POST") {
        assert!((400..500).contains(&got.status()), "{}", got.status());
    }
    assert_eq!(proxy.admin_get("/ready").status(), 200);
}

/// Samples of the Prometheus page, by name with labels.
fn samples(proxy: &Proxy) -> Vec<(String, f64)> {
    let page = proxy.admin_get("/stats/prometheus");
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{:?}", page.head);
    ok(&page)
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line:?}"));
            (name.to_owned(), value.parse().unwrap_or_else(|e| panic!("{line:?}: {e}")))
        })
        .collect()
}

#[track_caller]
fn sample(samples: &[(String, f64)], name: &str, labels: &[&str]) -> f64 {
    let found = samples
        .iter()
        .find(|(key, _)| key.split('{').next() == Some(name) && labels.iter().all(|label| key.contains(label)));
    found.unwrap_or_else(|| panic!("no {name} with {labels:?} among {samples:#?}")).1
}

#[test]
fn prometheus_counts_under_mosns_names() {
    let origin =
        Origin::http(|seen| sidegate_harness::Reply::new(if seen.head.target() == "/503" { 503 } else { 200 }));
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    for target in ["/", "/", "/503"] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.response();
    }
    assert_eq!(proxy.exchange("GET / HTTP/1.1\r\n\r\n").status(), 400);
    let listener = &["listener=\"main\""][..];
    // The refused connection ends after its request was counted.
    let samples = until("the counters and the end of the refused connection", || {
        let samples = samples(&proxy);
        let counted = sample(&samples, "downstream_request_total", listener) >= 4.0;
        (counted && sample(&samples, "downstream_connection_active", listener) <= 1.0).then_some(samples)
    });
    assert_eq!(sample(&samples, "downstream_request_total", listener), 4.0);
    assert_eq!(sample(&samples, "downstream_request_total", &["proxy=\"global\""]), 4.0);
    assert_eq!(sample(&samples, "downstream_connection_total", listener), 2.0);
    assert_eq!(sample(&samples, "downstream_connection_active", listener), 1.0);
    assert_eq!(sample(&samples, "downstream_request_200_total", listener), 2.0);
    let cluster = &["cluster=\"origin\""][..];
    assert_eq!(sample(&samples, "upstream_request_total", cluster), 3.0);
    assert_eq!(sample(&samples, "upstream_connection_total", cluster), 1.0);
    for (name, _) in &samples {
        let name = name.split('{').next().unwrap();
        let known = ["downstream_", "upstream_", "sidegate_", "process_", "meta_"];
        assert!(known.iter().any(|prefix| name.starts_with(prefix)), "{name} is neither MOSN's nor ours");
    }
}

#[test]
fn prometheus_types_stand_before_their_samples() {
    let (_origin, proxy) = echo_pair();
    assert_eq!(proxy.get("/").status(), 200);
    let page = ok(&proxy.admin_get("/stats/prometheus"));
    let mut typed = Vec::new();
    let mut seen_keys = std::collections::HashSet::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind), "{line}");
            assert!(!typed.contains(&name.to_owned()), "{name} is typed twice");
            typed.push(name.to_owned());
        } else if !line.starts_with('#') && !line.is_empty() {
            let key = line.rsplit_once(' ').unwrap().0;
            assert!(seen_keys.insert(key.to_owned()), "{key} stands twice");
            let name = key.split('{').next().unwrap();
            let last = typed.last().unwrap_or_else(|| panic!("{name} has no type"));
            assert!(
                name == last || name.strip_prefix(last.as_str()).is_some_and(|s| s.starts_with('_')),
                "{name} under {last}"
            );
        }
    }
    assert!(!typed.is_empty());
}

#[test]
fn stats_are_nested_json() {
    let (_origin, proxy) = echo_pair();
    assert_eq!(proxy.get("/").status(), 200);
    let total = until("the counter", || {
        let stats = proxy.admin_get("/api/v1/stats").json();
        let total = stats["downstream"]["listener.main"]["request_total"].as_str().map(str::to_owned);
        total.filter(|total| total != "0")
    });
    assert_eq!(total, "1", "MOSN gives numbers as strings under type, label and key");
}

#[test]
fn modules_are_listed() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    std::fs::copy(artifact("libauth.so"), dir.join("first.so")).unwrap();
    let config = ConfigBuilder::to(origin.address())
        .filter(json!({"type": "x", "so_config": {"so_path": dir.join("first.so")}, "config": {"A": "1"}}))
        .filter(
            json!({"type": "x", "so_config": {"so_path": artifact("libauth_c.so"), "name": "second"}, "config": {}}),
        );
    let proxy = Proxy::start(&config);
    let page = proxy.admin_get("/api/v1/modules");
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("application/json")));
    let mut modules = page.json()["modules"].as_array().unwrap().clone();
    modules.sort_by_key(|module| module["name"].to_string());
    let names: Vec<&Value> = modules.iter().map(|module| &module["name"]).collect();
    assert_eq!(names, ["first", "second"]);
    for module in &modules {
        let keys: Vec<&String> = module.as_object().unwrap().keys().collect();
        let wanted = [
            "name",
            "file",
            "sha256",
            "abi",
            "version",
            "generation",
            "filters",
            "streams",
            "faults",
            "hooks",
            "quarantine",
            "generations",
        ];
        assert_eq!(keys, wanted);
        assert_eq!(module["sha256"].as_str().map(str::len), Some(64), "{module}");
        assert!(module["abi"].as_str().is_some_and(|abi| abi.starts_with("1.")), "{module}");
        assert_eq!((&module["generation"], &module["streams"], &module["faults"]), (&json!(1), &json!(0), &json!(0)));
        assert!(module["filters"].is_array(), "{module}");
        let generation = &module["generations"][0];
        let keys: Vec<&String> = generation.as_object().unwrap().keys().collect();
        let wanted = ["generation", "sha256", "state", "filters", "streams", "resume_handles", "threads", "reason"];
        assert_eq!(keys, wanted);
        assert_eq!((&generation["generation"], &generation["state"]), (&json!(1), &json!("current")));
    }
    let sum = sidegate_harness::run(std::process::Command::new("sha256sum").arg(dir.join("first.so")));
    assert_eq!(modules[0]["sha256"].as_str(), sum.stdout.split_whitespace().next());
}

#[test]
fn a_stream_in_flight_is_counted_for_its_module() {
    let gate = sidegate_harness::Gate::new();
    let held = gate.clone();
    let origin = Origin::http(move |_| {
        held.wait();
        sidegate_harness::Reply::ok("done")
    });
    let filter = json!({"type": "x", "so_config": {"so_path": artifact("libauth.so")}, "config": {}});
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter));
    let streams = || proxy.admin_get("/api/v1/modules").json()["modules"][0]["streams"].as_u64();
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait("the request", |origin| origin.count() == 1);
    assert_eq!(streams(), Some(1));
    gate.open();
    assert_eq!(client.response().status(), 200);
    until("the stream's end in the count", || (streams() == Some(0)).then_some(()));
}

#[test]
fn every_endpoint_answers_its_methods_alone() {
    let (_origin, proxy) = echo_pair();
    let index = ok(&proxy.admin_get("/"));
    // Some paths have several lines.
    let mut paths: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in index.lines() {
        let at = line.find('/').unwrap();
        let (methods, path) = (line[..at].trim(), line[at..].split_whitespace().next().unwrap());
        match paths.iter_mut().find(|(known, _)| *known == path) {
            Some((_, all)) => all.push(methods),
            None => paths.push((path, vec![methods])),
        }
    }
    for (path, methods) in &paths {
        let allowed = methods.join(", ");
        for method in ["GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"] {
            if allowed.split(", ").any(|known| known == method) {
                continue;
            }
            let refused = proxy.admin_call(method, path, "", "");
            assert_eq!(refused.status(), 405, "{method} {path}");
            assert_eq!(refused.header("allow"), Some(&*allowed), "{method} {path}");
        }
        assert!(!allowed.contains("GET") || proxy.admin_get(path).status() != 405, "{path}");
    }
    assert!(paths.len() >= 17, "{index}");
}

#[test]
fn what_tools_for_mosn_ask_for_is_there() {
    let (_origin, proxy) = echo_pair();
    assert_eq!(proxy.get("/").status(), 200);
    proxy.access_line("the request", |line| line.status == 200);
    let global = ok(&proxy.admin_get("/api/v1/stats_glob"));
    assert!(global.lines().any(|line| line == "request_total:1"), "{global}");
    assert!(!global.contains("upstream"), "{global}");
    let by_pattern = ok(&proxy.admin_get("/api/v1/stats_glob?key=upstream.cluster.origin.request_tot*"));
    assert_eq!(by_pattern, "upstream.cluster.origin.request_total:1\n");
    assert_eq!(proxy.admin_get("/api/v1/features").json(), json!({}));
    assert_eq!(ok(&proxy.admin_get("/api/v1/features?key=auto_config")).trim(), "false");
    let env = proxy.admin_get("/api/v1/env?key=PATH&key=HOME").json();
    assert_eq!(env, json!({"env": {}, "not_found": ["PATH", "HOME"]}), "no variable is ever shown");
    assert_eq!(proxy.admin_get("/api/v1/env").status(), 400);
    assert_eq!(ok(&proxy.admin_get("/api/v1/plugin?status=all")), "");
}

#[test]
fn access_logs_are_switched_off_and_on() {
    let (_origin, proxy) = echo_pair();
    let path = proxy.dir().join("access.log").display().to_string();
    let lines = || proxy.access_log().into_iter().map(|line| line.path).collect::<Vec<_>>();
    assert_eq!(proxy.get("/before").status(), 200);
    until("the first line", || (lines() == ["/before"]).then_some(()));
    assert_eq!(ok(&proxy.admin_call("POST", "/api/v1/disable_log", "", &path)), "disable logger success\n");
    // The connection closes when the stream is logged, or would be.
    let mut wire = proxy.connect();
    wire.send("GET /meanwhile HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").response();
    wire.expect_close();
    assert_eq!(ok(&proxy.admin_call("POST", "/api/v1/enable_log", "", &path)), "enable logger success\n");
    assert_eq!(proxy.get("/after").status(), 200);
    until("the second line", || (lines() == ["/before", "/after"]).then_some(()));
    assert_eq!(proxy.admin_call("POST", "/api/v1/disable_log", "", "/no/such.log").status(), 404);
}
