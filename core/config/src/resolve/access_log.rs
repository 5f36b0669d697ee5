//! `access_logs[]` of a listener, and how logs are rotated.

use std::collections::HashMap;

use sidegate_api::BuildEnv;
use sidegate_telemetry::{AccessLogFormat, LogRotation, LogStyle, LogTarget};

use super::log_file::log_target;
use crate::diagnostic::{Finding, kind};
use crate::document::NodeValue;
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// An access log that nobody has opened yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogConfig {
    /// Where lines go.
    pub target: LogTarget,
    /// What they look like.
    pub format: AccessLogFormat,
    /// When a file is set aside; `None`: never.
    pub rotation: Option<LogRotation>,
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

pub(super) fn access_log(cursor: &Cursor<'_>, rotations: &mut Rotations<'_>) -> Option<AccessLogConfig> {
    let mut object = cursor.object(&schema::ACCESS_LOG)?;
    let target = object.required("log_path").and_then(|c| Some(log_target(&c, c.name()?, rotations.env)));
    let format = format(&mut object, rotations.style);
    let own = object.text("log_roller").map(|(cursor, _)| rotation(&cursor));
    object.finish();
    let target = target?;
    let own = match own {
        Some(own) => Some(own?),
        None => None,
    };
    let rotation = rotations.for_access_log(cursor, &target, own);
    Some(AccessLogConfig { target, format: format?, rotation })
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
