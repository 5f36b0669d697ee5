//! Plugins that modules call through the host, by the module in
//! tests/e2e/modules/asks.c.

use serde_json::{Value, json};
use sidegate_harness::{Call, ConfigBuilder, Load, Origin, Proxy, TempDir, artifact, sidegate, until};

use super::{PROGRAM, await_log, is_alive, merge, pid_of};
use crate::modules::{self, Module};

fn module() -> Module {
    Module::compile_file("tests/e2e/modules/asks.c")
}

/// A plugin as `so_config` has it.
fn plugin(how: &str, more: Value) -> Value {
    let mut plugin = json!({
        "command": artifact(PROGRAM).display().to_string(),
        "args": [how],
        "timeout": "15s",
        "restart_backoff": "0s",
    });
    merge(&mut plugin, more);
    plugin
}

fn config(origin: &Origin, module: &Module, more: Value) -> ConfigBuilder {
    let plugins = json!({"one": plugin("name=one", more), "two": plugin("name=two", json!({}))});
    ConfigBuilder::to(origin.address()).filter(module.entry("", &json!({"plugins": plugins})))
}

fn start(origin: &Origin, module: &Module, more: Value) -> Proxy {
    Proxy::start(&config(origin, module, more))
}

fn how(how: &str, deeds: &str) -> Call {
    Call::get("/").header("X-How", how).header("X-Do", deeds)
}

/// What the filter says that came of a call.
#[track_caller]
fn came(proxy: &Proxy, origin: &Origin, call: &Call) -> String {
    assert_eq!(proxy.call(call).status(), 200);
    // Others may have been there since.
    origin.seen().iter().rev().find_map(|seen| seen.head.get("x-came").map(str::to_owned)).expect("what came")
}

fn status(proxy: &Proxy, name: &str) -> Value {
    let all = proxy.admin_get("/api/v1/plugins").json();
    let found = all["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {all:#}")).clone()
}

fn in_flight(proxy: &Proxy, name: &str, count: u64) {
    until(&format!("{count} calls of {name}"), || (status(proxy, name)["in_flight"] == count).then_some(()));
}

/// Workers take what they hold in pieces, and keep one.
const PIECES: f64 = 1_048_576.0;

fn held(proxy: &Proxy) -> f64 {
    proxy.metric("sidegate_overload_used{limit=\"buffered_bytes\"}").unwrap_or(0.0)
}

#[test]
fn answers_are_read_once_and_several_calls_come_in_any_order() {
    let (module, origin) = (module(), Origin::echo());
    let proxy = start(&origin, &module, json!({}));
    assert_eq!(came(&proxy, &origin, &how("one", "")), "status 1;");
    assert_eq!(came(&proxy, &origin, &how("one", "deny")), "status -1;");
    assert_eq!(came(&proxy, &origin, &how("one", "fail")), "outcome 5;");
    assert_eq!(came(&proxy, &origin, &how("twice", "")), "status 1;refused 9;");
    let two = |first: &str, second: &str| how("two", "").header("X-Do-1", first).header("X-Do-2", second);
    assert_eq!(came(&proxy, &origin, &two("wait=300", "deny")), "call 2:status -1;call 1:status 1;");
    let in_turn = came(&proxy, &origin, &two("", "wait=300,fail"));
    assert_eq!(in_turn, "call 1:status 1;call 2:outcome 5;");
    // What is given up is not told; the plugin is told that nobody waits.
    let cancel = how("cancel", "").header("X-Do-1", "hang").header("X-Do-2", "set=X-Two:2");
    assert_eq!(came(&proxy, &origin, &cancel), "0,9;status 1;");
    assert_eq!(origin.last().head.get("x-two"), Some("2"));
    in_flight(&proxy, "one", 0);
    // A request goes on while its call is out, and waits with its response.
    let later = proxy.call(&how("later", "wait=200"));
    assert_eq!((later.status(), later.header("x-came")), (200, Some("status 1;")));
}

#[test]
fn what_is_wrong_is_refused_and_bounds_are_kept() {
    let (module, origin) = (module(), Origin::echo());
    let proxy = start(&origin, &module, json!({}));
    assert_eq!(came(&proxy, &origin, &how("odd", "")), "1,3,3,10,10,10;10,10;1,1,10,1;");
    await_log(&proxy, "a call at the end is answered 8");
    assert_eq!(came(&proxy, &origin, &how("many", "hang")), "16 calls, then 6;");
    // They ended with their stream.
    in_flight(&proxy, "one", 0);
    assert_eq!(came(&proxy, &origin, &how("short", "hang")), "outcome 1;");
    let few = start(&origin, &module, json!({"max_in_flight": 3}));
    assert_eq!(came(&few, &origin, &how("many", "hang")), "3 calls, then 6;");
    until("a place that is free again", || (came(&few, &origin, &how("one", "")) == "status 1;").then_some(()));
    assert!(few.metric("sidegate_plugin_call_failures_total{plugin=\"one\",reason=\"too_many\"}").unwrap() >= 1.0);
}

#[test]
fn bodies_go_to_the_plugin_and_back() {
    let (module, origin) = (module(), Origin::echo());
    let proxy = start(&origin, &module, json!({}));
    let post = Call::post("/", "some bytes").header("X-How", "body").header("X-Do", "double,set=X-Role:admin");
    assert_eq!(came(&proxy, &origin, &post), "status 1;");
    let seen = origin.last();
    assert_eq!((seen.body.as_slice(), seen.head.get("x-role")), (&b"some bytessome bytes"[..], Some("admin")));
}

#[test]
fn a_plugin_that_dies_hangs_or_is_disabled_ends_its_calls() {
    let (module, origin) = (module(), Origin::echo());
    let proxy = start(&origin, &module, json!({"timeout": "1s"}));
    assert_eq!(came(&proxy, &origin, &how("one", "die")), "outcome 4;");
    assert_eq!(came(&proxy, &origin, &how("one", "hang")), "outcome 1;");
    // One answer is late: nobody is left to be told.
    assert_eq!(came(&proxy, &origin, &how("one", "wait=1300")), "outcome 1;");
    assert_eq!(proxy.order("/api/v1/plugins/one/disable").status(), 200);
    until("its end", || (status(&proxy, "one")["state"] == "disabled").then_some(()));
    assert_eq!(came(&proxy, &origin, &how("one", "")), "outcome 3;");
    assert_eq!(proxy.order("/api/v1/plugins/one/enable").status(), 200);
    until("its start", || (status(&proxy, "one")["state"] == "up").then_some(()));
    assert_eq!(came(&proxy, &origin, &how("one", "")), "status 1;");
}

#[test]
fn calls_end_with_their_stream_whatever_ends_it() {
    let (module, origin) = (module(), Origin::echo());
    let proxy = Proxy::start(&config(&origin, &module, json!({})).timeout("filter_pending", "300ms"));
    for how in [how("one", "hang"), how("later", "hang")] {
        let left = proxy.client().begin(&how);
        in_flight(&proxy, "one", 1);
        drop(left);
        in_flight(&proxy, "one", 0);
    }
    assert_eq!(proxy.call(&how("forget", "hang")).status(), 200);
    assert_eq!(proxy.call(&how("fault", "hang")).status(), 500);
    in_flight(&proxy, "one", 0);
    // Bounds of calls are their own; a filter that never reads an end is one that is pending for too long.
    assert_eq!(came(&proxy, &origin, &how("one", "wait=600")), "status 1;");
    assert_eq!(proxy.call(&how("sleep", "")).status(), 500);
    await_log(&proxy, "was pending for longer than filter_pending allows");
    assert!(held(&proxy) <= PIECES);
}

#[test]
fn what_calls_hold_is_counted() {
    let (module, origin) = (module(), Origin::echo());
    let proxy = start(&origin, &module, json!({}));
    let asking = proxy.client().begin(&how("big", "hang"));
    until("3 MiB that are held", || (held(&proxy) >= f64::from(3 << 20)).then_some(()));
    drop(asking);
    until("nothing to be held", || (held(&proxy) <= PIECES).then_some(()));
    // What is answered counts until the filter has read it.
    assert_eq!(came(&proxy, &origin, &how("big", "")), "6;0;status 1;");
    until("nothing to be held", || (held(&proxy) <= PIECES).then_some(()));
}

/// Clients each of whose requests asks the plugin.
fn asking_load(proxy: &Proxy) -> Load {
    Load::start(proxy.address(), 4, "/one", |answer| match answer.status() {
        200 => Ok(()),
        other => Err(format!("status {other}")),
    })
}

#[track_caller]
fn all_were_answered(load: Load, origin: &Origin) {
    let served = load.stop();
    let seen = origin.seen();
    let answered = seen.iter().filter(|seen| seen.head.get("x-came") == Some("status 1;")).count() as u64;
    let others = seen.iter().filter(|seen| seen.head.get("x-came") != Some("status 1;")).count();
    assert!(others == 0 && answered >= served, "{answered} of {served}, and {others} others");
}

#[test]
fn a_module_is_loaded_anew_while_calls_are_out() {
    let (origin, dir) = (Origin::echo(), TempDir::new());
    let one = module();
    let file = dir.join("libasks.so");
    std::fs::copy(&one.file, &file).unwrap();
    let plugins = json!({"one": plugin("name=one", json!({}))});
    let entry = modules::entry(&file, "", &json!({"plugins": plugins, "name": "asks"}));
    let mut proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(entry));
    let pid = pid_of(&status(&proxy, "one"));
    let waiting = proxy.client().begin(&how("one", "wait=1500"));
    let mut hanging = vec![proxy.client().begin(&how("one", "hang"))];
    in_flight(&proxy, "one", 2);
    let load = asking_load(&proxy);
    for round in 0..3 {
        // Other bytes: another generation.
        let mut bytes = std::fs::read(&one.file).unwrap();
        bytes.extend_from_slice(format!("more {round}").as_bytes());
        let beside = dir.join("partial");
        std::fs::write(&beside, bytes).unwrap();
        std::fs::rename(&beside, &file).unwrap();
        proxy.reload_file();
        load.more(20);
        assert_eq!(came(&proxy, &origin, &how("one", "")), "status 1;");
        hanging.push(proxy.client().begin(&how("one", "hang")));
    }
    let mut waiting = waiting;
    assert_eq!(waiting.message().status(), 200);
    all_were_answered(load, &origin);
    // The plugin is one and the same.
    assert_eq!(pid_of(&status(&proxy, "one")), pid);
    drop(hanging);
    in_flight(&proxy, "one", 0);
    until("one generation", || {
        let all = proxy.admin_get("/api/v1/modules").json();
        (all["modules"].as_array().map(Vec::len) == Some(1)).then_some(())
    });
    // Without the filter nobody needs the plugin; a call that is out keeps both.
    let late = proxy.client().begin(&how("one", "wait=800"));
    in_flight(&proxy, "one", 1);
    proxy.reload(&ConfigBuilder::to(origin.address()));
    let mut late = late;
    assert_eq!(late.message().status(), 200);
    assert_eq!(origin.last().head.get("x-came"), Some("status 1;"));
    until("the end of the plugin", || (!is_alive(pid)).then_some(()));
    until("the end of the module", || {
        (proxy.admin_get("/api/v1/modules").json()["modules"].as_array().map(Vec::len) == Some(0)).then_some(())
    });
}

#[test]
fn a_changed_plugin_takes_over_without_a_lost_call() {
    let (module, origin) = (module(), Origin::echo());
    let with = |name: &str| {
        let plugins = json!({"one": plugin(name, json!({}))});
        ConfigBuilder::to(origin.address()).filter(module.entry("", &json!({"plugins": plugins})))
    };
    let mut proxy = Proxy::start(&with("name=first"));
    let load = asking_load(&proxy);
    load.more(20);
    let mut asking: Vec<_> = (0..4).map(|_| proxy.client().begin(&how("one", "wait=1500,who"))).collect();
    in_flight(&proxy, "one", 4);
    proxy.reload(&with("name=next"));
    load.more(20);
    all_were_answered(load, &origin);
    assert_eq!(came(&proxy, &origin, &how("one", "who")), "status 1;");
    assert!(origin.last().head.get("x-who").unwrap().ends_with("name=next"));
    for asked in &mut asking {
        assert_eq!(asked.message().status(), 200);
    }
    let seen = origin.seen();
    let by_first = seen.iter().filter(|seen| seen.head.get("x-who").is_some_and(|who| who.ends_with("name=first")));
    assert_eq!(by_first.count(), 4);
    drop(asking);
    until("one plugin", || {
        (proxy.admin_get("/api/v1/plugins").json()["plugins"].as_array().unwrap().len() == 1).then_some(())
    });
}

#[test]
fn two_filters_share_a_plugin_that_they_describe_alike() {
    let (module, origin) = (module(), Origin::echo());
    let same = plugin("name=same", json!({"name": "shared"}));
    let entry = |plugins: Value| module.entry("", &json!({"plugins": plugins}));
    let filter = json!({"type": "plugin", "config": same});
    let config = ConfigBuilder::to(origin.address())
        .filter(entry(json!({"one": same})))
        .filter(entry(json!({"one": same, "two": plugin("", json!({}))})))
        .filter(filter);
    let proxy = Proxy::start(&config);
    assert_eq!(proxy.admin_get("/api/v1/plugins").json()["plugins"].as_array().unwrap().len(), 2);
    assert_eq!(came(&proxy, &origin, &how("one", "")), "status 1;");
    assert_eq!(status(&proxy, "shared")["calls"], 3);
}

fn checked(config: &ConfigBuilder, more: &[&str]) -> (Option<i32>, String) {
    let dir = TempDir::new();
    let file = dir.write("config.json", config.build(dir.path()).to_string());
    let arguments = [&["check", "-c", file.to_str().unwrap()], more].concat();
    let outcome = sidegate(arguments);
    (outcome.code, outcome.output())
}

#[test]
fn plugins_are_checked_with_the_configuration() {
    let (module, origin) = (module(), Origin::echo());
    let with =
        |plugins: Value| ConfigBuilder::to(origin.address()).filter(module.entry("", &json!({"plugins": plugins})));
    assert_eq!(checked(&with(json!({"one": plugin("garbage", json!({}))})), &[]).0, Some(0), "nothing is started");
    for more in [&[][..], &["--no-load"]] {
        for (plugins, said) in [
            (json!({"one": {"command": "./nowhere"}}), "plugins.one.command"),
            (json!({"one": {"command": "/bin/true", "address": "unix:/x"}}), "plugins.one"),
            (json!({"one": plugin("", json!({"tiemout": "1s"}))}), "timeout"),
            (json!({"one": plugin("", json!({"timeout": "0s"}))}), "a duration above zero"),
            (json!({"one": "checker"}), "plugins.one"),
            (json!({"one": plugin("", json!({"name": "a"})), "two": plugin("x", json!({"name": "a"}))}), "\"a\""),
        ] {
            let (code, output) = checked(&with(plugins), more);
            assert!(code == Some(1) && output.contains(said), "{said}: {output}");
        }
    }
    // The module says what it needs when it makes its filter.
    let lacks = with(json!({"two": plugin("", json!({}))}));
    let (code, output) = checked(&lacks, &[]);
    assert!(code == Some(1) && output.contains("expected a plugin `one` in so_config.plugins"), "{output}");
    // Its manifest says it before anything is loaded.
    let entry =
        modules::entry(&artifact("libwith_plugin.so"), "", &json!({"plugins": {"checker": plugin("", json!({}))}}));
    for (name, code) in [("checker", 0), ("chekker", 1)] {
        let mut entry = entry.clone();
        entry["config"] = json!({"plugin": name});
        let (found, output) = checked(&ConfigBuilder::to(origin.address()).filter(entry), &["--no-load"]);
        assert_eq!(found, Some(code), "{output}");
        assert!(code == 0 || output.contains("config.plugin"), "{output}");
    }
}

#[test]
fn secrets_of_plugins_are_not_shown() {
    let (module, origin) = (module(), Origin::echo());
    let proxy = start(&origin, &module, json!({"env": {"PIN": "s3cr3t-word"}}));
    for page in ["/api/v1/config_dump", "/api/v1/config_dump?alllisteners", "/api/v1/plugins", "/api/v1/modules"] {
        let text = proxy.admin_get(page).text();
        assert!(!text.contains("s3cr3t-word"), "{page}: {text}");
    }
}
