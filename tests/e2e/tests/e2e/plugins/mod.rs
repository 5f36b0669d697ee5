//! Plugins that are processes of their own, by the one in tests/plugins/rust.

mod access_log;
mod admin;
mod bounds;
mod by_modules;
mod calls;
mod faults;
mod hangs;
mod init;
mod kills;
mod life;
mod mosn;
mod refused;
mod streaming;
mod streaming_early;
mod streaming_faults;
mod streaming_hosts;

use serde_json::{Value, json};
use sidegate_harness::{Call, ConfigBuilder, Origin, Proxy, artifact, until};

const PROGRAM: &str = "sidegate-test-plugin";

/// An entry for the filter, whose program begins as `how` says.
fn entry(how: &str, more: Value) -> Value {
    let mut config = json!({
        "command": artifact(PROGRAM).display().to_string(),
        "args": [how],
        // A loaded machine must not look like a plugin that hangs.
        "timeout": "15s",
    });
    merge(&mut config, more);
    json!({"type": "plugin", "config": config})
}

fn merge(config: &mut Value, more: Value) {
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
}

fn config(origin: &Origin, how: &str, more: Value) -> ConfigBuilder {
    ConfigBuilder::to(origin.address()).filter(entry(how, more))
}

fn start(origin: &Origin, how: &str, more: Value) -> Proxy {
    Proxy::start(&config(origin, how, more))
}

/// A request that says what the plugin does with it.
fn asks(deeds: &str) -> Call {
    Call::get("/").header("X-Do", deeds)
}

/// The one plugin as the admin page has it.
fn status(proxy: &Proxy) -> Value {
    let all = proxy.admin_get("/api/v1/plugins").json();
    assert_eq!(all["plugins"].as_array().map(Vec::len), Some(1), "{all:#}");
    all["plugins"][0].clone()
}

/// Waits until the one plugin is in `state`.
#[track_caller]
fn await_state(proxy: &Proxy, state: &str) -> Value {
    until(&format!("a plugin that is {state}"), || Some(status(proxy)).filter(|status| status["state"] == state))
}

/// Waits until the log of the process has `text`.
#[track_caller]
fn await_log(proxy: &Proxy, text: &str) {
    until(&format!("{text:?} in the log"), || proxy.logs().contains(text).then_some(()));
}

/// Whether a process is there and no zombie.
fn is_alive(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn pid_of(status: &Value) -> u64 {
    status["pid"].as_u64().unwrap_or_else(|| panic!("no pid in {status}"))
}

fn faults(proxy: &Proxy, fault: &str) -> f64 {
    let series = format!("sidegate_plugin_faults_total{{plugin=\"{PROGRAM}\",fault=\"{fault}\"}}");
    proxy.metric(&series).unwrap_or(0.0)
}

fn failures(proxy: &Proxy, reason: &str) -> f64 {
    let series = format!("sidegate_plugin_call_failures_total{{plugin=\"{PROGRAM}\",reason=\"{reason}\"}}");
    proxy.metric(&series).unwrap_or(0.0)
}
