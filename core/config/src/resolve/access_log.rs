//! `access_logs[]` of a listener.

use sidegate_telemetry::{AccessLogFormat, LogTarget};

use crate::diagnostic::{Finding, kind};
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// An access log that nobody has opened yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogConfig {
    /// Where lines go.
    pub target: LogTarget,
    /// What they look like.
    pub format: AccessLogFormat,
}

pub(super) fn access_log(cursor: &Cursor<'_>) -> Option<AccessLogConfig> {
    let mut object = cursor.object(&schema::ACCESS_LOG)?;
    let target = object.required("log_path").and_then(|c| c.name()).map(LogTarget::parse);
    let format = format(&mut object);
    object.finish();
    Some(AccessLogConfig { target: target?, format: format? })
}

fn format(object: &mut ObjectReader<'_>) -> Option<AccessLogFormat> {
    let text = object.text("log_format");
    let json = object.get("json_format").filter(|c| !c.says_nothing());
    match (text, json) {
        (None, None) => Some(AccessLogFormat::default()),
        (Some((text, _)), None) => text.parsed(AccessLogFormat::parse),
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
