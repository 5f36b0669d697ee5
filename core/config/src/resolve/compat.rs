//! Top-level `compat`: whose ways count where a file says nothing.

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
}

pub(super) fn compat(cursor: &Cursor<'_>) -> Option<Compat> {
    cursor.choice(&[("off", Compat::Off), ("mosn", Compat::Mosn)])
}
