//! Top-level `compat`: whose ways count where a file says nothing.

use sidegate_proxy::TargetBytes;
use sidegate_telemetry::LogStyle;

use crate::reader::Cursor;

/// Whose ways count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Compat {
    /// Sidegate's own.
    #[default]
    Off,
    /// MOSN's.
    Mosn,
}

impl Compat {
    /// How access logs are written.
    pub(crate) fn log_style(self) -> LogStyle {
        match self {
            Compat::Off => LogStyle::Own,
            Compat::Mosn => LogStyle::Mosn,
        }
    }

    /// What a target may have unless the `proxy` filter says.
    pub(crate) fn target_bytes(self) -> TargetBytes {
        match self {
            Compat::Off => TargetBytes::Strict,
            Compat::Mosn => TargetBytes::Lenient,
        }
    }
}

pub(super) fn compat(cursor: &Cursor<'_>) -> Option<Compat> {
    cursor.choice(&[("off", Compat::Off), ("mosn", Compat::Mosn)])
}
