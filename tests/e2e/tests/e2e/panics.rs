//! A Rust module that panics or fails wherever it is told to: one stream ends
//! as `on_fault` says, and nothing else happens.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, TempDir, artifact, sidegate, until};

fn entry(on_fault: &str, config: Value) -> Value {
    json!({"type": "loadso", "so_config": {"so_path": artifact("libpanicky.so"), "on_fault": on_fault}, "config": config})
}

fn start(origin: &Origin, on_fault: &str) -> Proxy {
    Proxy::start(&ConfigBuilder::to(origin.address()).filter(entry(on_fault, json!({}))))
}

fn post(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 5\r\n\r\nhello")
}

/// The value of a series in the Prometheus text, or 0 if nothing counted yet.
fn series(proxy: &Proxy, name: &str) -> i64 {
    let text = proxy.admin_get("/stats/prometheus").text();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or("x 0");
    line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number") as i64
}

#[test]
fn a_panic_or_failure_in_a_hook_ends_one_stream_with_500() {
    let origin = Origin::echo();
    let proxy = start(&origin, "reply-500");
    for field in ["x-panic", "x-fail"] {
        for hook in ["request_headers", "request_body", "response_headers"] {
            let answer = proxy.exchange(post(&format!("{field}: {hook}\r\n")));
            assert_eq!(answer.status(), 500, "{field}: {hook}");
            let next = proxy.exchange(post(""));
            assert_eq!(next.status(), 200, "after {field}: {hook}");
        }
    }
    let panics = proxy.logs();
    assert!(panics.contains("asked to panic in request_body"), "the log says where and why:\n{panics}");
    assert!(panics.contains("panicky/src/lib.rs:"), "with the location:\n{panics}");
}

#[test]
fn a_panic_after_the_response_head_cuts_the_response() {
    let origin = Origin::echo();
    let proxy = start(&origin, "reply-500");
    let mut client = proxy.connect();
    client.send(post("x-panic: response_body\r\n"));
    assert!(client.try_response("POST").is_err(), "a cut response must not look whole");
    assert_eq!(proxy.exchange(post("")).status(), 200);
}

#[test]
fn a_panic_at_the_end_of_a_stream_changes_nothing_for_the_client() {
    let origin = Origin::echo();
    let proxy = start(&origin, "reply-500");
    for hook in ["complete", "drop"] {
        assert_eq!(proxy.exchange(post(&format!("x-panic: {hook}\r\n"))).status(), 200, "{hook}");
        assert_eq!(proxy.exchange(post("")).status(), 200, "after {hook}");
    }
}

#[test]
fn every_filter_is_destroyed_once_and_completes_unless_it_faulted() {
    let origin = Origin::echo();
    let proxy = start(&origin, "reply-500");
    for hook in ["", "request_headers", "request_body", "response_headers", "response_body", "complete", "drop"] {
        let mut client = proxy.connect();
        client.send(post(&format!("x-panic: {hook}\r\n")));
        let _ = client.try_response("POST");
    }
    until("no filter to be alive", || (series(&proxy, "panicky_alive") == 0).then_some(()));
    // Four of seven faulted in a hook and see only their end.
    until("three completions", || (series(&proxy, "panicky_completed_total") == 3).then_some(()));
    let modules = proxy.admin_get("/api/v1/modules").json();
    let module = &modules["modules"][0];
    assert_eq!((&module["name"], &module["streams"]), (&json!("libpanicky"), &json!(0)), "{modules}");
    assert!(module["faults"].as_u64().is_some_and(|faults| faults >= 4), "{modules}");
}

#[test]
fn pass_goes_on_without_the_filter_and_reset_closes() {
    let origin = Origin::echo();
    let proxy = start(&origin, "pass");
    assert_eq!(proxy.exchange(post("x-panic: request_headers\r\n")).status(), 200);
    assert_eq!(proxy.exchange(post("x-fail: response_headers\r\n")).status(), 200);

    let proxy = start(&origin, "reset");
    let mut client = proxy.connect();
    client.send(post("x-panic: request_headers\r\n"));
    assert!(client.try_response("POST").is_err(), "reset answers nothing");
    assert_eq!(proxy.exchange(post("")).status(), 200);
}

#[test]
fn a_filter_that_cannot_be_made_is_a_fault_of_each_stream() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).filter(entry("reply-500", json!({"panic_in_filter": true})));
    let proxy = Proxy::start(&config);
    for _ in 0..3 {
        assert_eq!(proxy.get("/").status(), 500);
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn a_factory_that_panics_refuses_the_configuration() {
    let dir = TempDir::new();
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).filter(entry("reply-500", json!({"panic": true})));
    let file = dir.write("config.json", config.build(dir.path()).to_string());
    let outcome = sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str()]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.output());
    assert!(outcome.output().contains("panicked"), "{}", outcome.output());
    assert!(outcome.output().contains("the configuration asked for it"), "{}", outcome.output());
}
