//! `access_logs[]` of a listener, and how logs are rotated.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use sidegate_api::{AccessLogSink, BuildEnv, Fingerprint, Registry};
use sidegate_telemetry::{AccessLog, AccessLogFormat, LogError, LogRotation, LogSinks, LogStyle, LogTarget};

use super::filters;
use super::log_file::log_target;
use crate::diagnostic::{Finding, kind};
use crate::document::NodeValue;
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// An access log that nobody has opened yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogConfig {
    /// Where lines go.
    pub target: AccessLogTarget,
    /// What they look like.
    pub format: AccessLogFormat,
    /// When a file is set aside; `None`: never.
    pub rotation: Option<LogRotation>,
}

/// Where lines of an access log go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogTarget {
    /// To a file or a standard stream.
    Log(LogTarget),
    /// To a plugin.
    Plugin(PluginLog),
}

/// A plugin that takes lines.
#[derive(Clone)]
pub struct PluginLog {
    settings: Value,
    fingerprint: Fingerprint,
    /// `None` where configurations are only looked at.
    sink: Option<Arc<dyn AccessLogSink>>,
}

impl AccessLogConfig {
    /// The file or stream that it writes to, if it does.
    pub fn log(&self) -> Option<&LogTarget> {
        match &self.target {
            AccessLogTarget::Log(target) => Some(target),
            AccessLogTarget::Plugin(_) => None,
        }
    }

    /// Opens its file if that is not open yet. `None`: there is nobody to take
    /// lines, as the configuration is only looked at.
    pub(super) fn open(&self, sinks: &LogSinks) -> Result<Option<AccessLog>, LogError> {
        Ok(match &self.target {
            AccessLogTarget::Log(target) => {
                Some(AccessLog::new(self.format.clone(), sinks.open(target, self.rotation)?))
            }
            AccessLogTarget::Plugin(plugin) => {
                plugin.sink.clone().map(|sink| AccessLog::to_extension(self.format.clone(), sink))
            }
        })
    }
}

/// What is the same has the same sink.
impl PartialEq for PluginLog {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings && self.fingerprint == other.fingerprint
    }
}

impl Eq for PluginLog {}

/// Without settings, which may hold secrets.
impl fmt::Debug for PluginLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginLog").finish_non_exhaustive()
    }
}

/// An access log, and where it stands in the file.
pub(super) type ReadLog<'a> = (AccessLogConfig, Cursor<'a>);

/// Has plugins take the lines of `logs`, which belong to the listener called
/// `listener`; `None` after errors were reported.
pub(super) fn begin(
    logs: Vec<ReadLog<'_>>,
    listener: &str,
    registry: &Registry,
    env: &BuildEnv,
) -> Option<Vec<AccessLogConfig>> {
    let begun = logs.into_iter().map(|(mut log, at)| {
        if let (AccessLogTarget::Plugin(plugin), Some(builder)) = (&mut log.target, registry.access_log_builder()) {
            plugin.sink =
                builder.open(&plugin.settings, listener, env).map_err(|errors| filters::report(&at, errors)).ok()?;
        }
        Some(log)
    });
    // All of them, even after one failed.
    begun.collect::<Vec<_>>().into_iter().collect()
}

/// What access logs have in common: how they are written, and how their files
/// are rotated, by target: one writer rotates a file, in one way.
pub(super) struct Rotations<'e> {
    env: &'e BuildEnv,
    /// What counts for logs that say nothing: `global_log_roller`.
    global: Option<LogRotation>,
    process_log: Option<LogTarget>,
    style: LogStyle,
    by_target: HashMap<LogTarget, (Option<LogRotation>, String)>,
}

impl<'e> Rotations<'e> {
    pub fn new(global: Option<LogRotation>, process_log: LogTarget, style: LogStyle, env: &'e BuildEnv) -> Self {
        Rotations { env, global, process_log: Some(process_log), style, by_target: HashMap::new() }
    }

    /// What the access log at `cursor` gets; reports what does not go together.
    fn for_access_log(
        &mut self,
        cursor: &Cursor<'_>,
        target: &LogTarget,
        own: Option<Option<LogRotation>>,
    ) -> Option<LogRotation> {
        let rotation = own.unwrap_or(self.global);
        if rotation.is_some() && matches!(target, LogTarget::File(_)) && self.process_log.as_ref() == Some(target) {
            let message = format!("log {target} is the process log too; a file that is rotated has one writer");
            cursor.error(Finding::said(kind::DUPLICATE, message));
        }
        let (first, place) = self.by_target.entry(target.clone()).or_insert_with(|| (rotation, cursor.place()));
        if *first != rotation {
            let message = format!("log {target} is rotated in another way at {place}");
            cursor.error(Finding::said(kind::DUPLICATE, message));
        }
        rotation
    }
}

/// A rotation, or `off`.
pub(super) fn rotation(cursor: &Cursor<'_>) -> Option<Option<LogRotation>> {
    match cursor.string()? {
        "off" => Some(None),
        _ => cursor.parsed(LogRotation::parse).map(Some),
    }
}

pub(super) fn access_log<'a>(
    cursor: &Cursor<'a>,
    listener: &str,
    rotations: &mut Rotations<'_>,
    registry: &Registry,
) -> Option<ReadLog<'a>> {
    let mut object = cursor.object(&schema::ACCESS_LOG)?;
    let path = object.get("log_path");
    let plugin = object.get("plugin").filter(|cursor| !cursor.is_empty_section());
    let format = format(&mut object, rotations.style);
    let own = object.text("log_roller").map(|(cursor, _)| (rotation(&cursor), cursor));
    object.finish();
    let config = |target, rotation| Some(AccessLogConfig { target, format: format?, rotation });
    match (path, plugin) {
        (Some(path), None) => {
            let target = log_target(&path, path.name()?, rotations.env);
            let own = match own {
                Some((own, _)) => Some(own?),
                None => None,
            };
            let rotation = rotations.for_access_log(cursor, &target, own);
            Some((config(AccessLogTarget::Log(target), rotation)?, cursor.clone()))
        }
        (None, Some(plugin)) => {
            if let Some((_, at)) = own {
                at.error(Finding::said(kind::BAD_VALUE, "means nothing beside `plugin`: there is no file"));
            }
            let target = plugin_log(&plugin, listener, registry, rotations.env)?;
            Some((config(AccessLogTarget::Plugin(target), None)?, plugin))
        }
        (path, _) => {
            let found = if path.is_some() { "both" } else { "none of them" };
            cursor.error(Finding::mismatch(kind::BAD_VALUE, "exactly one of `log_path` and `plugin`", found));
            None
        }
    }
}

fn plugin_log(at: &Cursor<'_>, listener: &str, registry: &Registry, env: &BuildEnv) -> Option<PluginLog> {
    let settings = at.json_object()?;
    let Some(builder) = registry.access_log_builder() else {
        at.unsupported("plugins take no access logs here; expected no such key, and `log_path`");
        return None;
    };
    let mut errors = Vec::new();
    filters::redacted(&settings, "", &mut errors);
    let checked = if errors.is_empty() { builder.check(&settings, listener, env) } else { Err(errors) };
    match checked {
        Ok(fingerprint) => Some(PluginLog { settings, fingerprint, sink: None }),
        Err(errors) => {
            filters::report(at, errors);
            None
        }
    }
}

fn format(object: &mut ObjectReader<'_>, style: LogStyle) -> Option<AccessLogFormat> {
    let text = object.text("log_format");
    let json = object.get("json_format");
    // An empty text or list is no absent object.
    let json =
        json.filter(|c| matches!(c.node().value, NodeValue::String(_) | NodeValue::Array(_)) || !c.says_nothing());
    match (text, json) {
        (None, None) => Some(AccessLogFormat::of_style(style)),
        (Some((text, _)), None) => text.parsed(|text| AccessLogFormat::parse_as(text, style)),
        (None, Some(json)) => {
            let value = json.json_object()?;
            AccessLogFormat::json(value.as_object()?).map_err(|problem| json.refuse(&problem)).ok()
        }
        (Some(_), Some(_)) => {
            let finding = Finding::mismatch(kind::BAD_VALUE, "one of `log_format` and `json_format`", "both");
            object.cursor().error(finding);
            None
        }
    }
}
