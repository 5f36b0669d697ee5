//! Plugins that are processes of their own: what there is of them, and who runs.

use serde_json::{Value, json};
use sidegate_api::{PluginLimit, PluginLimits, PluginPhase, PluginStatus, RequestHead};

use crate::endpoints::Call;
use crate::query::Query;
use crate::reply::Reply;
use crate::{PluginSwitch, SourceError};

const ENABLE: &str = "enable";
const DISABLE: &str = "disable";

pub(crate) fn list(call: &Call<'_>) -> Reply {
    let plugins: Vec<Value> = call.source.plugins().iter().map(plugin).collect();
    Reply::json(&json!({ "plugins": plugins }))
}

fn plugin(plugin: &PluginStatus) -> Value {
    json!({
        "name": plugin.name,
        "runs": plugin.runs,
        "enabled": plugin.enabled,
        "state": plugin.phase.name(),
        "seconds": plugin.since.as_secs_f64(),
        "pid": plugin.pid,
        "address": plugin.address,
        "healthy": plugin.healthy,
        "restarts": plugin.restarts,
        "calls": plugin.calls,
        "failures": plugin.failures,
        "in_flight": plugin.in_flight,
        "limits": plugin.limits.as_ref().map(limits),
        "last_error": plugin.last_error,
    })
}

fn limits(limits: &PluginLimits) -> Value {
    let number = |value: f64| if value.fract() == 0.0 { json!(value as u64) } else { json!(value) };
    let limit =
        |limit: Option<PluginLimit>| limit.map(|limit| json!({ "value": number(limit.value), "by": limit.by.name() }));
    json!({
        "cgroup": limits.cgroup,
        "memory": limit(limits.memory),
        "cpus": limit(limits.cpus),
        "tasks": limit(limits.tasks),
    })
}

pub(crate) fn enable(call: &Call<'_>) -> Reply {
    switch(call, PluginSwitch::Enable)
}

pub(crate) fn disable(call: &Call<'_>) -> Reply {
    switch(call, PluginSwitch::Disable)
}

fn switch(call: &Call<'_>, to: PluginSwitch) -> Reply {
    match switched(call, call.name, to) {
        Ok(()) => Reply::json(&json!({ "ok": true })),
        Err(error) => error.into(),
    }
}

fn switched(call: &Call<'_>, name: &str, to: PluginSwitch) -> Result<(), SourceError> {
    call.source.switch_plugin(name, to)?;
    tracing::info!(plugin = name, ?to, peer = ?call.peer, "admin: plugin switched");
    Ok(())
}

/// Whether MOSN's call changes something.
pub(crate) fn changes(head: &RequestHead) -> bool {
    let query = Query::parse(head.query().unwrap_or_default());
    [ENABLE, DISABLE].iter().any(|name| query.get(name).is_some())
}

pub(crate) fn as_mosn(call: &Call<'_>) -> Reply {
    for (asked, to) in [(ENABLE, PluginSwitch::Enable), (DISABLE, PluginSwitch::Disable)] {
        if let Some(name) = call.query.get(asked) {
            return match switched(call, name, to) {
                Ok(()) => Reply::ok(format!("{asked} {name} success")),
                Err(_) => unknown(name),
            };
        }
    }
    let Some(name) = call.query.get("status") else {
        return Reply::bad_request(
            "Usage:\n/plugin?status=all\n/plugin?status=pluginname\n/plugin?enable=pluginname\n\
             /plugin?disable=pluginname",
        );
    };
    let all = call.source.plugins();
    let lines: Vec<String> = all.iter().filter(|plugin| name == "all" || plugin.name == name).map(line).collect();
    if lines.is_empty() && name != "all" {
        return unknown(name);
    }
    Reply::ok(lines.join("\n"))
}

fn unknown(name: &str) -> Reply {
    Reply::bad_request(format!("plugin {name} no register"))
}

fn line(plugin: &PluginStatus) -> String {
    let on = plugin.phase == PluginPhase::Up;
    format!("name:{},enable:{},on:{on}", plugin.name, plugin.enabled)
}
