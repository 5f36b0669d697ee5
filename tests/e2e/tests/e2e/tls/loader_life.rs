//! Certificates that a plugin brings, over reloads, ends of plugins, and time.

use std::time::{Duration, SystemTime};

use rcgen::date_time_ymd;
use serde_json::{Value, json};
use sidegate_harness::{Origin, Proxy, Reply, Signal, TempDir, repository, sidegate, until};

use super::loader::{Answers, await_more, beside, config, is_served, options, refreshes, tells_no_secret};
use super::{Ca, dial, with};

fn plugins(proxy: &Proxy) -> Vec<Value> {
    proxy.admin_get("/api/v1/plugins").json()["plugins"].as_array().unwrap().clone()
}

/// The process of the one plugin, once there is one alone that is up.
#[track_caller]
fn pid(proxy: &Proxy) -> u64 {
    until("one plugin", || {
        let all = plugins(proxy);
        let up = all.first().filter(|plugin| all.len() == 1 && plugin["state"] == "up");
        up.and_then(|plugin| plugin["pid"].as_u64())
    })
}

#[test]
fn a_reload_keeps_a_loader_that_is_the_same_and_swaps_one_that_is_not() {
    let (ca, other, origin) = (Ca::new("ca"), Ca::new("other"), Origin::http(|_| Reply::ok("x")));
    let (one, two) = (Answers::new(&ca.context("a.test"), ""), Answers::new(&other.context("a.test"), ""));
    let mut proxy = Proxy::start(&config(&origin, one.context("loader", json!({}))));
    let first = pid(&proxy);
    // Something else changes.
    proxy.reload(&config(&origin, one.context("loader", json!({}))).timeout("request_header", "9s"));
    assert_eq!((pid(&proxy), &plugins(&proxy)[0]["restarts"]), (first, &json!(0)));
    assert!(is_served(&proxy, &ca.client(&[])));
    await_more(&proxy, "unchanged");
    // It is asked in another way, by the same process.
    proxy.reload(&config(&origin, one.context("loader", json!({"refresh_interval": "30ms"}))));
    assert_eq!(pid(&proxy), first);
    assert!(is_served(&proxy, &ca.client(&[])));
    await_more(&proxy, "unchanged");
    // Another program brings others.
    proxy.reload(&config(&origin, two.context("loader", json!({}))));
    assert!(is_served(&proxy, &other.client(&[])) && !is_served(&proxy, &ca.client(&[])));
    assert_ne!(pid(&proxy), first);
    // One that brings none is not taken, and the one before goes on.
    let last = pid(&proxy);
    proxy.write(&config(&origin, two.context("loader", json!({"env": {"TEST_PLUGIN_ANSWER": "/nowhere"}}))));
    let refused = proxy.order("/api/v1/config/reload");
    assert_eq!(refused.status(), 422, "{}", refused.text());
    assert!(is_served(&proxy, &other.client(&[])));
    assert_eq!(pid(&proxy), last);
}

#[test]
fn a_listener_that_may_fall_back_serves_in_clear_text_until_there_are_certificates() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let answers = Answers::new(&ca.context("a.test"), "");
    let good = answers.context("loader", json!({}));
    let bad = answers.context("loader", json!({"env": {"TEST_PLUGIN_ANSWER": "/nowhere"}}));
    let falling = |context: &Value| config(&origin, with(context.clone(), json!({"fall_back": true})));
    let mut proxy = Proxy::start(&falling(&bad));
    assert_eq!(proxy.get("/").status(), 200);
    tells_no_secret(&proxy, &[]);
    proxy.reload(&falling(&good));
    assert!(is_served(&proxy, &ca.client(&[])));
}

#[test]
fn no_dump_shows_the_environment_of_a_loader() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let own = ca.context("a.test");
    let answers = Answers::new(&own, "");
    let mut context = answers.context("loader", json!({}));
    context["extend_verify"]["env"]["TOKEN"] = "s3cret".into();
    let proxy = Proxy::start(&config(&origin, context));
    let dump = proxy.admin_get("/api/v1/config_dump").text();
    assert!(dump.contains("TOKEN") && dump.contains("refresh_interval"), "{dump}");
    for page in ["/api/v1/config_dump", "/api/v1/plugins", "/api/v1/certs"] {
        let text = proxy.admin_get(page).text();
        assert!(!text.contains("s3cret"), "{page}: {text}");
    }
    assert!(!proxy.logs().contains("s3cret"), "{}", proxy.logs());
    tells_no_secret(&proxy, &[&own]);
}

#[test]
fn a_loader_may_be_one_that_somebody_else_runs_and_certificates_outlive_it() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let own = ca.context("a.test");
    let answers = Answers::new(&own, "");
    let runs = Proxy::start(&config(&origin, answers.context("loader", json!({}))));
    let address = plugins(&runs)[0]["address"].as_str().unwrap().to_owned();
    assert!(address.starts_with("unix:"), "{address}");
    let settings = json!({
        "address": address, "name": "keys", "timeout": "15s", "refresh_interval": "20ms", "retry_backoff": "20ms",
        "retry_backoff_max": "50ms",
        // Its calls do not wait for the next try to connect.
        "restart_backoff": "1h", "restart_backoff_max": "1h",
    });
    let context = json!({"status": true, "type": "loader", "extend_verify": settings});
    let attached = Proxy::start(&config(&origin, context));
    assert!(is_served(&attached, &ca.client(&[])));
    await_more(&attached, "unchanged");
    assert_eq!(plugins(&attached)[0]["pid"], Value::Null);
    let plugin = rustix::process::Pid::from_raw(pid(&runs) as i32).unwrap();
    rustix::process::kill_process(plugin, Signal::KILL).unwrap();
    await_more(&attached, "failed");
    assert_eq!(attached.metric("sidegate_tls_loader_failing{plugin=\"keys\"}"), Some(1.0));
    assert!(is_served(&attached, &ca.client(&[])));
    tells_no_secret(&attached, &[&own]);
}

/// Nothing but the time at which it expires makes it ask.
#[test]
fn a_certificate_is_renewed_before_it_expires() {
    let (ca, other, origin) = (Ca::new("ca"), Ca::new("other"), Origin::http(|_| Reply::ok("x")));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let (chain, key) = ca.issue("a.test", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(1970, 1, 1) + now + Duration::from_secs(3600);
    });
    let answers = Answers::new(&json!({"cert_chain": chain, "private_key": key}), "");
    let rare = json!({"refresh_interval": "0s", "refresh_before": "3595s"});
    let proxy = Proxy::start(&config(&origin, answers.context("loader", rare)));
    assert!(is_served(&proxy, &ca.client(&[])));
    answers.put(&Answers::json(&other.context("a.test"), ""));
    until("the next certificate", || is_served(&proxy, &other.client(&[])).then_some(()));
    // That one is good for long.
    assert_eq!((refreshes(&proxy, "changed"), refreshes(&proxy, "failed")), (2.0, 0.0));
}

/// MOSN's file, unchanged but for addresses.
#[test]
fn mosns_example_of_a_loader_runs() {
    let file = repository().join("../shared/mosn-configs/plugin/cert_loader/config.json");
    let Ok(text) = std::fs::read_to_string(file) else {
        eprintln!("skipped: the collection of MOSN configurations is not beside this checkout");
        return;
    };
    let (ca, dir, origin) = (Ca::new("ca"), TempDir::new(), Origin::http(|_| Reply::ok("x")));
    let text = text
        .replace("\"127.0.0.1:8080\"", &format!("\"{}\"", origin.address()))
        .replace("\"127.0.0.1:2046\"", "\"127.0.0.1:0\"")
        .replace("\"0.0.0.0\"", "\"127.0.0.1\"")
        .replace("34901", "0");
    let answers = Answers::new(&ca.context("a.test"), &ca.pem);
    let options = options(Some(beside(&dir)), "loader", &answers.file());
    let file = dir.write("config.json", &text);
    let proxy = Proxy::run(dir, &file, &options);
    let status = |user: &str| {
        use std::io::{Read, Write};
        let mut connection = dial(&ca.client(&[]), proxy.listener("serverListener"), "a.test");
        let request = format!("GET / HTTP/1.1\r\nHost: a.test\r\n{user}Connection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!((status("User: admin\r\n"), status("")), ("200".to_owned(), "403".to_owned()));
    assert_eq!(plugins(&proxy)[0]["name"], "loader");
}

/// What runs has brought its certificates: nothing is started to compare.
#[test]
fn a_check_against_what_runs_compares_contexts_of_loaders() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let answers = Answers::new(&ca.context("a.test"), "");
    let context = |more: Value| answers.context("loader", more);
    let proxy = Proxy::start(&config(&origin, context(json!({}))));
    let check = |wanted: &sidegate_harness::ConfigBuilder| {
        let file = proxy.dir().write("wanted.json", wanted.build(proxy.dir().path()).to_string());
        sidegate(["check", "-c", file.to_str().unwrap(), "--against", proxy.admin_text()])
    };
    let same = check(&config(&origin, context(json!({}))));
    assert!(!same.output().contains("tls") && !same.output().contains("left out"), "{}", same.output());
    let other = check(&config(&origin, with(context(json!({})), json!({"session_resumption": false}))));
    assert!(other.output().contains("tls"), "{}", other.output());
    let unknown = check(&config(&origin, context(json!({"args": ["exit"], "name": "none"}))));
    assert!(unknown.output().contains("TLS is left out of what differs here"), "{}", unknown.output());
    assert_eq!(plugins(&proxy).len(), 1);
}
