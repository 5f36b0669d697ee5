//! Plugins and the life of the process: reloads, ends, and who outlives whom.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Load, Origin, Proxy, ProxyOptions, Signal, TempDir, artifact, until};

use super::{PROGRAM, asks, await_state, config, entry, is_alive, pid_of, start, status};

#[test]
fn nobody_outlives_a_process_that_is_killed() {
    let origin = Origin::echo();
    let mut proxy = start(&origin, "", json!({}));
    let plugin = pid_of(&status(&proxy));
    assert!(is_alive(plugin));
    proxy.signal(Signal::KILL);
    proxy.wait_exit();
    until("the end of the plugin", || (!is_alive(plugin)).then_some(()));
}

#[test]
fn a_plugin_ends_with_the_process_by_its_own_means() {
    let origin = Origin::echo();
    for (how, said) in [("", "told to end"), ("plain", "it was ended by signal 15"), ("unix", "plugin was stopped")] {
        let mut proxy = start(&origin, how, json!({}));
        let before = status(&proxy);
        proxy.signal(Signal::TERM);
        assert!(proxy.wait_exit().success());
        assert!(!is_alive(pid_of(&before)));
        assert!(proxy.logs().contains(said), "{}", proxy.logs());
        if let Some(path) = before["address"].as_str().unwrap().strip_prefix("unix:") {
            assert!(!std::path::Path::new(path).exists(), "{path} is left behind");
        }
    }
}

#[test]
fn a_plugin_that_stays_the_same_is_not_started_again() {
    let origin = Origin::echo();
    let mut proxy = start(&origin, "", json!({}));
    let pid = pid_of(&status(&proxy));
    // Another filter, the same plugin.
    proxy.reload(&config(&origin, "", json!({"timeout": "14s", "on_error": "allow", "send_body": true})));
    assert_eq!(pid_of(&status(&proxy)), pid);
    proxy.reload(&config(&origin, "", json!({})).timeout("request_header", "9s"));
    let same = status(&proxy);
    assert_eq!((pid_of(&same), &same["restarts"]), (pid, &json!(0)));
    assert_eq!(proxy.call(&asks("deny")).status(), 403);
    // None needs it any more.
    proxy.reload(&ConfigBuilder::to(origin.address()));
    until("the end of the plugin", || (!is_alive(pid)).then_some(()));
    assert_eq!(proxy.admin_get("/api/v1/plugins").json(), json!({"plugins": []}));
}

#[test]
fn a_changed_program_takes_over_without_a_lost_call() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let program = dir.join("plugin");
    std::fs::copy(artifact(PROGRAM), &program).unwrap();
    let with = |how: &str| {
        config(&origin, how, json!({"command": program.display().to_string()})).filter(json!({
            "type": "plugin", "name": "who",
            "config": {"command": program.display().to_string(), "args": [how], "timeout": "15s"},
        }))
    };
    let mut proxy = Proxy::start(&with("name=one"));
    let first = pid_of(&status(&proxy));
    let load = Load::start(proxy.address(), 4, "/", |answer| match answer.status() {
        200 => Ok(()),
        other => Err(format!("status {other}")),
    });
    load.more(20);
    for (at, how) in ["name=two", "name=three"].into_iter().enumerate() {
        proxy.reload(&with(how));
        load.more(20);
        until("the one before ends", || {
            (proxy.admin_get("/api/v1/plugins").json()["plugins"].as_array().unwrap().len() == 1).then_some(())
        });
        proxy.call(&asks("who"));
        let who = origin.seen().iter().rev().find_map(|seen| seen.head.get("x-who").map(str::to_owned)).unwrap();
        assert!(who.ends_with(how), "{at}: {who}");
    }
    until("the end of the first", || (!is_alive(first)).then_some(()));
    // The same words, other bytes.
    let before = pid_of(&status(&proxy));
    let mut bytes = std::fs::read(&program).unwrap();
    bytes.extend_from_slice(b"more");
    std::fs::remove_file(&program).unwrap();
    std::fs::write(&program, bytes).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    proxy.reload_file();
    load.more(20);
    until("another process", || {
        let all = proxy.admin_get("/api/v1/plugins").json();
        let all = all["plugins"].as_array().unwrap().clone();
        (all.len() == 1 && pid_of(&all[0]) != before).then_some(())
    });
    load.stop();
}

#[test]
fn a_plugin_that_does_not_come_up_is_no_reason_to_lose_the_one_that_runs() {
    let origin = Origin::echo();
    let mut proxy = start(&origin, "", json!({}));
    let pid = pid_of(&status(&proxy));
    proxy.write(&config(&origin, "garbage", json!({})));
    let refused = proxy.order("/api/v1/config/reload");
    assert_eq!(refused.status(), 422);
    assert!(
        refused.text().contains("does not come up") && refused.text().contains("hello, world"),
        "{}",
        refused.text()
    );
    until("one plugin", || {
        (proxy.admin_get("/api/v1/plugins").json()["plugins"].as_array().unwrap().len() == 1).then_some(())
    });
    assert_eq!(pid_of(&status(&proxy)), pid);
    assert_eq!(proxy.call(&asks("deny")).status(), 403);
    proxy.reload(&config(&origin, "", json!({})));
}

#[test]
fn a_slow_start_is_waited_for() {
    let origin = Origin::echo();
    let proxy = start(&origin, "slow", json!({"restart_backoff": "0s"}));
    // Nothing was served before it was up.
    assert_eq!(status(&proxy)["state"], "up");
    assert_eq!(proxy.call(&asks("die")).status(), 500);
    assert_eq!(proxy.call(&asks("deny")).status(), 403);
}

#[test]
fn a_plugin_may_be_one_that_somebody_else_runs() {
    let origin = Origin::echo();
    let runs = start(&origin, "unix", json!({}));
    let known = status(&runs);
    let address = known["address"].as_str().unwrap().to_owned();
    let entry = json!({"type": "plugin", "config": {"address": address, "timeout": "15s", "restart_backoff": "10ms", "name": "beside"}});
    let mut attached = Proxy::start(&ConfigBuilder::to(origin.address()).filter(entry));
    assert_eq!(attached.call(&asks("deny")).status(), 403);
    let seen = status(&attached);
    assert_eq!((&seen["name"], &seen["pid"], &seen["address"]), (&json!("beside"), &json!(null), &json!(address)));
    // It is not ours to end.
    attached.signal(Signal::TERM);
    assert!(attached.wait_exit().success());
    assert!(is_alive(pid_of(&known)));
    assert_eq!(runs.call(&asks("deny")).status(), 403);
}

#[test]
fn one_that_is_attached_is_found_again() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let socket = dir.join("socket");
    let entry = json!({"type": "plugin", "config": {
        "address": format!("unix:{}", socket.display()), "timeout": "15s", "restart_backoff": "10ms",
        "restart_backoff_max": "10ms", "name": "beside",
    }});
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(entry));
    until("it is missed", || status(&proxy)["last_error"].as_str().map(|_| ()));
    // A name for wherever the plugin of another process listens.
    let runs = start(&origin, "unix", json!({}));
    let listens = status(&runs)["address"].as_str().unwrap().strip_prefix("unix:").unwrap().to_owned();
    std::os::unix::fs::symlink(listens, &socket).unwrap();
    await_state(&proxy, "up");
    assert_eq!(proxy.call(&asks("deny")).status(), 403);
}

#[test]
fn check_starts_nothing() {
    let dir = TempDir::new();
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).filter(entry("garbage", json!({}))).build(dir.path());
    let file = dir.write("config.json", config.to_string());
    let checked = sidegate_harness::sidegate(["check", "-c", file.to_str().unwrap()]);
    assert_eq!(checked.code, Some(0), "{}", checked.output());
}

#[test]
fn files_of_a_plugin_are_followed() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let program = dir.join("plugin");
    std::fs::copy(artifact(PROGRAM), &program).unwrap();
    // Asked for by name: it lies beside the configuration.
    let more = json!({"command": program.display().to_string()});
    let options = ProxyOptions { arguments: vec!["--watch".into()], ..ProxyOptions::default() };
    let mut proxy = Proxy::start_with(&config(&origin, "", more), &options);
    let (before, number) = (pid_of(&status(&proxy)), proxy.number());
    let mut bytes = std::fs::read(&program).unwrap();
    bytes.extend_from_slice(b"more");
    let beside = dir.join("partial");
    std::fs::write(&beside, bytes).unwrap();
    std::fs::set_permissions(&beside, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::rename(&beside, &program).unwrap();
    proxy.await_number(number + 1);
    until("the end of the one before", || (!is_alive(before)).then_some(()));
    assert_eq!(proxy.call(&asks("deny")).status(), 403);
}
