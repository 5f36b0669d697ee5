//! The top of the file and its only server.

use std::num::NonZeroUsize;
use std::time::Duration;

use sidegate_telemetry::{LogConfig, LogLevel};

use super::Config;
use super::access_log::{Rotations, rotation};
use super::compat::Compat;
use super::known::Known;
use super::listener::{ListenerNames, ReadListener, listener};
use super::log_file::log_target;
use super::modules::Modules;
use super::names::Names;
use super::router::Routers;
use super::tls::Materials;
use crate::diagnostic::{Diagnostic, Finding, kind};
use crate::document::NodeValue;
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// What the server's entry says.
pub(super) struct Server<'a> {
    pub workers: Option<NonZeroUsize>,
    /// Where that is said, or would be.
    pub workers_at: Diagnostic,
    pub log: LogConfig,
    pub graceful_timeout: Duration,
    pub drain_delay: Duration,
    pub routers: Routers<'a>,
    pub listeners: Vec<ReadListener<'a>>,
}

pub(super) fn server<'a>(
    top: &mut ObjectReader<'a>,
    clusters: &Names,
    known: &Known<'_>,
    taken: &mut ListenerNames,
    modules: &mut Modules<'_>,
    compat: Compat,
    materials: &Materials<'_>,
) -> Option<Server<'a>> {
    let env = materials.env();
    let servers = top.required("servers")?;
    let elements = servers.array()?;
    if elements.len() != 1 {
        servers.error(Finding::mismatch(kind::BAD_VALUE, "exactly one server", elements.len().to_string()));
    }
    let mut object = elements.first()?.object(&schema::SERVER)?;
    let mut log = LogConfig::default();
    if let Some((cursor, path)) = object.get("default_log_path").and_then(|c| Some((c.clone(), c.string()?))) {
        log.target = log_target(&cursor, path, env);
    }
    if let Some((cursor, text)) = object.text("default_log_level") {
        log.level = log_level(&cursor, text).unwrap_or_default();
    }
    let roller = object.text("global_log_roller");
    log.rotation = roller.and_then(|(cursor, _)| rotation(&cursor)).flatten();
    let mut rotations = Rotations::new(log.rotation, log.target.clone(), compat.log_style(), env);
    let processor_at = object.get("processor");
    let workers_at = processor_at.as_ref().unwrap_or(object.cursor()).diagnostic();
    let workers = processor_at.and_then(|c| processor(&c));
    let graceful = object.get("graceful_timeout").and_then(|c| c.duration()).filter(|d| *d > Duration::ZERO);
    let drain_delay = object.get("drain_delay").and_then(|c| c.duration()).unwrap_or_default();
    let mut routers = Routers::default();
    for router in object.get("routers").and_then(|c| c.array()).unwrap_or_default() {
        routers.read(&router, clusters, known);
    }
    let mut listeners = Vec::new();
    let entries = object.get("listeners");
    for entry in entries.and_then(|c| c.array()).unwrap_or_default() {
        listeners.extend(listener(&entry, taken, modules, &mut rotations, materials, &mut |config| {
            routers.read_connection_manager(&config, clusters, known);
        }));
    }
    object.finish();
    let graceful_timeout = graceful.unwrap_or(Config::GRACEFUL_TIMEOUT);
    Some(Server { workers, workers_at, log, graceful_timeout, drain_delay, routers, listeners })
}

fn log_level(cursor: &Cursor<'_>, text: &str) -> Option<LogLevel> {
    let level = LogLevel::parse(text);
    if level.is_none() {
        let names = LogLevel::ALL.map(LogLevel::as_str).join(", ");
        cursor.mismatch(kind::BAD_VALUE, format!("one of {names}"));
    }
    level
}

/// A number, a number as text, or `auto`.
pub(crate) fn processor(cursor: &Cursor<'_>) -> Option<NonZeroUsize> {
    const EXPECTED: &str = "a number of workers from 1 to 1024, or \"auto\"";
    let text = match &cursor.node().value {
        NodeValue::Number(text) => text,
        NodeValue::String(text) => text,
        _ => {
            cursor.mismatch(kind::WRONG_TYPE, EXPECTED);
            return None;
        }
    };
    match text.parse::<usize>() {
        // Go's absent value.
        Ok(0) => None,
        Ok(count @ 1..=1024) => NonZeroUsize::new(count),
        _ if text.is_empty() || text == "auto" => None,
        _ => {
            cursor.mismatch(kind::BAD_VALUE, EXPECTED);
            None
        }
    }
}
