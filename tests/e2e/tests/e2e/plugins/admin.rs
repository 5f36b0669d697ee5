//! Status, enabling and disabling by MOSN's admin interface and ours.

use serde_json::json;
use sidegate_harness::{Origin, until};

use super::{PROGRAM, asks, await_state, config, failures, is_alive, pid_of, start, status};

#[test]
fn plugins_are_switched_off_and_on_by_mosns_calls() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({}));
    let told = |query: &str| {
        let answer = proxy.admin_get(&format!("/api/v1/plugin?{query}"));
        (answer.status(), answer.text().trim_end().to_owned())
    };
    let is = |enabled: bool, on: bool| (200, format!("name:{PROGRAM},enable:{enabled},on:{on}"));
    assert_eq!(told("status=all"), is(true, true));
    assert_eq!(told(&format!("status={PROGRAM}")), is(true, true));
    let pid = pid_of(&status(&proxy));
    assert_eq!(told(&format!("disable={PROGRAM}")), (200, format!("disable {PROGRAM} success")));
    await_state(&proxy, "disabled");
    assert_eq!(told("status=all"), is(false, false));
    until("its end", || (!is_alive(pid)).then_some(()));
    assert_eq!(proxy.call(&asks("")).status(), 500);
    assert_eq!(failures(&proxy, "disabled"), 1.0);
    assert_eq!(told(&format!("enable={PROGRAM}")), (200, format!("enable {PROGRAM} success")));
    await_state(&proxy, "up");
    assert_eq!(proxy.call(&asks("deny")).status(), 403);
    assert_eq!(told("status=other"), (400, "plugin other no register".to_owned()));
}

#[test]
fn what_is_disabled_stays_so_over_reloads() {
    let origin = Origin::echo();
    let mut proxy = start(&origin, "", json!({}));
    assert_eq!(proxy.order(&format!("/api/v1/plugins/{PROGRAM}/disable")).status(), 200);
    await_state(&proxy, "disabled");
    proxy.reload(&config(&origin, "name=next", json!({})));
    let next = until("one plugin", || {
        let all = proxy.admin_get("/api/v1/plugins").json();
        all["plugins"].as_array().filter(|all| all.len() == 1).map(|all| all[0].clone())
    });
    assert_eq!((&next["state"], &next["enabled"], &next["pid"]), (&json!("disabled"), &json!(false), &json!(null)));
    assert_eq!(proxy.order(&format!("/api/v1/plugins/{PROGRAM}/enable")).status(), 200);
    await_state(&proxy, "up");
    assert_eq!(proxy.order("/api/v1/plugins/other/enable").status(), 404);
}

#[test]
fn calls_are_counted_and_timed() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({}));
    for _ in 0..3 {
        proxy.call(&asks(""));
    }
    let of = |name: &str| proxy.metric(&format!("{name}{{plugin=\"{PROGRAM}\"}}"));
    assert_eq!(of("sidegate_plugin_calls_total"), Some(3.0));
    assert_eq!(of("sidegate_plugin_call_seconds_count"), Some(3.0));
    assert_eq!(of("sidegate_plugin_calls_in_flight"), Some(0.0));
    assert_eq!(of("sidegate_plugin_restarts_total"), Some(0.0));
    assert_eq!(of("sidegate_plugin_up"), Some(1.0));
}

#[test]
fn secrets_in_the_environment_are_not_shown() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({"env": {"PIN": "s3cr3t-word"}, "args": ["", "s3cr3t-argument"]}));
    for page in ["/api/v1/config_dump", "/api/v1/config_dump?alllisteners", "/api/v1/plugins"] {
        let text = proxy.admin_get(page).text();
        assert!(!text.contains("s3cr3t-word"), "{page}");
    }
    assert!(!proxy.admin_get("/api/v1/plugins").text().contains("s3cr3t"));
    assert!(!proxy.logs().contains("s3cr3t"));
}
