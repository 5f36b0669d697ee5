//! The endpoints, one function each.

use serde_json::{Value, json};
use sidegate_api::{GenerationStatus, HookStatus, QuarantineStatus};
use sidegate_telemetry::{LogLevel, LogSwitch, PageFormat, PageOptions, page, stats_json, stats_lines};

use crate::endpoints::{Call, ENDPOINTS};
use crate::query::glob;
use crate::reply::Reply;
use crate::{ConfigDumpQuery, RunState, SourceError};

pub(crate) fn index(_: &Call<'_>) -> Reply {
    let width = ENDPOINTS.iter().map(|endpoint| endpoint.path.len()).max().unwrap_or(0);
    let lines = ENDPOINTS
        .iter()
        .map(|endpoint| format!("{:9} {:width$}  {}\n", endpoint.effect.methods(), endpoint.path, endpoint.about));
    Reply::ok(lines.collect::<String>())
}

pub(crate) fn ready(call: &Call<'_>) -> Reply {
    match call.source.run_state() {
        RunState::Running if call.source.hangs().all() => Reply::text(503, "all workers hang"),
        RunState::Running => Reply::ok("ready"),
        state => Reply::text(503, state.name()),
    }
}

/// Whether it is worth going on with this process. One that drains ends by
/// itself.
pub(crate) fn live(call: &Call<'_>) -> Reply {
    let hangs = call.source.hangs();
    let named: String = hangs.hanging.iter().map(|worker| format!("\nhangs: {worker}")).collect();
    match hangs.all() && call.source.run_state() == RunState::Running {
        true => Reply::text(503, format!("all workers hang{named}")),
        false => Reply::ok(format!("live{named}")),
    }
}

pub(crate) fn metrics(call: &Call<'_>) -> Reply {
    let format = PageFormat::negotiate(call.accept);
    let options = PageOptions::default();
    Reply::metrics(page(call.source.stats(), &call.source.version(), &options, format), format)
}

pub(crate) fn version(call: &Call<'_>) -> Reply {
    Reply::ok(format!("sidegate version: {}", call.source.version()))
}

pub(crate) fn states(call: &Call<'_>) -> Reply {
    Reply::ok(format!("pid={}&state={}", std::process::id(), call.source.run_state() as u8))
}

pub(crate) fn config_dump(call: &Call<'_>) -> Reply {
    match config_dump_query(call) {
        Ok(query) => match call.source.config_dump(&query) {
            Ok(dump) => Reply::json(&dump),
            Err(error) => error.into(),
        },
        Err(message) => Reply::bad_request(message),
    }
}

fn config_dump_query(call: &Call<'_>) -> Result<ConfigDumpQuery, String> {
    let mut pairs = call.query.pairs();
    let Some((name, value)) = pairs.next() else {
        return Ok(ConfigDumpQuery::All);
    };
    if pairs.next().is_some() {
        return Err("only one parameter at a time".to_owned());
    }
    let named = |query: fn(String) -> ConfigDumpQuery| match value {
        "" => Err(format!("`{name}=` needs a name")),
        value => Ok(query(value.to_owned())),
    };
    match name {
        "mosnconfig" => Ok(ConfigDumpQuery::MosnConfig),
        "allrouters" => Ok(ConfigDumpQuery::AllRouters),
        "allclusters" => Ok(ConfigDumpQuery::AllClusters),
        "alllisteners" => Ok(ConfigDumpQuery::AllListeners),
        "router" => named(ConfigDumpQuery::Router),
        "cluster" => named(ConfigDumpQuery::Cluster),
        "listener" => named(ConfigDumpQuery::Listener),
        other => Err(format!(
            "unknown parameter `{other}`; there are mosnconfig, allrouters, allclusters, alllisteners, router=, \
             cluster= and listener="
        )),
    }
}

pub(crate) fn hosts(call: &Call<'_>) -> Reply {
    let mut clusters = call.source.clusters();
    if let Some(name) = call.query.get("cluster") {
        clusters.retain(|cluster| cluster.name == name);
        if clusters.is_empty() {
            return SourceError::NotFound(format!("no cluster is called {name:?}")).into();
        }
    }
    let clusters = clusters.into_iter().map(|cluster| {
        let shown = cluster.to_json();
        (cluster.name, Value::Object(shown))
    });
    Reply::json(&json!({ "clusters": clusters.collect::<serde_json::Map<_, _>>() }))
}

pub(crate) fn certs(call: &Call<'_>) -> Reply {
    let mut shown = call.source.certs();
    for owner in ["listener", "cluster"] {
        if let (Some(name), Some(certs)) = (call.query.get(owner), shown["certs"].as_array_mut()) {
            certs.retain(|entry| entry[owner] == *name);
        }
    }
    Reply::json(&shown)
}

/// What Istio's agent asks MOSN and Envoy for.
pub(crate) fn server_info(call: &Call<'_>) -> Reply {
    let state = match call.source.run_state() {
        RunState::Starting => "INITIALIZING",
        RunState::Running => "LIVE",
        RunState::Draining | RunState::Stopping => "DRAINING",
    };
    let uptime = format!("{}s", call.source.uptime().as_secs());
    Reply::json(&json!({
        "version": format!("sidegate/{}", call.source.version()),
        "state": state,
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
    }))
}

pub(crate) fn modules(call: &Call<'_>) -> Reply {
    let modules: Vec<Value> = call
        .source
        .modules()
        .into_iter()
        .map(|module| {
            json!({
                "name": module.name,
                "file": module.file,
                "sha256": module.sha256,
                "abi": module.abi,
                "version": module.version,
                "generation": module.generation,
                "filters": module.filters,
                "streams": module.streams,
                "faults": module.faults,
                "hooks": module.hooks.iter().map(hook).collect::<Vec<_>>(),
                "quarantine": module.quarantine.iter().map(quarantine).collect::<Vec<_>>(),
                "generations": module.generations.iter().map(generation).collect::<Vec<_>>(),
            })
        })
        .collect();
    Reply::json(&json!({ "modules": modules }))
}

fn generation(generation: &GenerationStatus) -> Value {
    json!({
        "generation": generation.generation,
        "sha256": generation.sha256,
        "state": generation.state.name(),
        "filters": generation.filters,
        "streams": generation.streams,
        "resume_handles": generation.resume_handles,
        "threads": generation.threads,
        "reason": generation.reason,
    })
}

fn hook(hook: &HookStatus) -> Value {
    json!({
        "filter": hook.filter,
        "hook": hook.hook,
        "calls": hook.calls,
        "seconds": hook.total.as_secs_f64(),
        "longest_seconds": hook.longest.as_secs_f64(),
        "slow": hook.slow,
    })
}

fn quarantine(status: &QuarantineStatus) -> Value {
    json!({
        "filter": status.filter,
        "state": status.phase.name(),
        "seconds_left": status.left.map(|left| left.as_secs_f64()),
    })
}

pub(crate) fn stats(call: &Call<'_>) -> Reply {
    Reply::json_pieces(stats_json(call.source.stats(), call.query.get("key")))
}

/// MOSN's "glob" is short for global. Asked with a pattern, which MOSN knows
/// nothing of, it shows whatever has such a name.
pub(crate) fn stats_glob(call: &Call<'_>) -> Reply {
    const GLOBAL: &str = "downstream.proxy.global.";
    let pattern = call.query.get("key").map(str::to_owned);
    let is_wanted = move |name: &str| match &pattern {
        Some(pattern) => glob(pattern, name).then_some(0),
        None => name.starts_with(GLOBAL).then_some(GLOBAL.len()),
    };
    Reply::lines(stats_lines(call.source.stats(), is_wanted))
}

pub(crate) fn get_log_level(call: &Call<'_>) -> Reply {
    let levels = call.source.log_levels().into_iter().map(|(path, level)| (path, Value::from(level.as_str())));
    Reply::json(&Value::Object(levels.collect()))
}

pub(crate) fn update_log_level(call: &Call<'_>) -> Reply {
    const EXPECTED: &str = "expected {\"log_path\": \"…\", \"log_level\": \"…\"}";
    let Ok(request) = serde_json::from_slice::<Value>(call.body) else {
        return Reply::bad_request(EXPECTED);
    };
    let (Some(path), Some(name)) = (request["log_path"].as_str(), request["log_level"].as_str()) else {
        return Reply::bad_request(EXPECTED);
    };
    let Some(level) = LogLevel::parse(name) else {
        let names = LogLevel::ALL.map(LogLevel::as_str).join(", ");
        return Reply::bad_request(format!("unknown log_level; there are {names}"));
    };
    match call.source.set_log_level(path, level) {
        Ok(()) => {
            tracing::info!(path, %level, "admin: log level changed");
            Reply::ok("update logger success")
        }
        Err(error) => error.into(),
    }
}

pub(crate) fn enable_log(call: &Call<'_>) -> Reply {
    switch_log(call, LogSwitch::On)
}

pub(crate) fn disable_log(call: &Call<'_>) -> Reply {
    switch_log(call, LogSwitch::Off)
}

fn switch_log(call: &Call<'_>, to: LogSwitch) -> Reply {
    let Some(path) = log_path(call.body) else {
        return Reply::bad_request("expected the log's path, or {\"log_path\": \"…\"}");
    };
    match call.source.switch_log(&path, to) {
        Ok(()) => {
            tracing::info!(path, ?to, "admin: log switched");
            Reply::ok(match to {
                LogSwitch::On => "enable logger success",
                LogSwitch::Off => "disable logger success",
            })
        }
        Err(error) => error.into(),
    }
}

/// The body is the path, or an object that names it as `update_loglevel` does.
fn log_path(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    let path = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(request)) => request.get("log_path")?.as_str()?.to_owned(),
        Ok(Value::String(path)) => path,
        _ => text.to_owned(),
    };
    (!path.is_empty()).then_some(path)
}

/// There are no gates, so that each is off.
pub(crate) fn features(call: &Call<'_>) -> Reply {
    match call.query.pairs().next() {
        Some(_) => Reply::ok("false"),
        None => Reply::json(&json!({})),
    }
}

/// MOSN shows any variable; a process's environment holds its secrets.
pub(crate) fn env(call: &Call<'_>) -> Reply {
    let keys: Vec<&str> = call.query.all("key").collect();
    if keys.is_empty() {
        return Reply::bad_request("key= is missing");
    }
    Reply::json(&json!({ "env": {}, "not_found": keys }))
}
