//! Files of logs: where a path leads, and whether it can be written.

use std::path::Path;

use rustix::fs::{Access, access};
use sidegate_api::BuildEnv;
use sidegate_telemetry::LogTarget;

use crate::diagnostic::{Finding, kind};
use crate::reader::Cursor;

/// The target that `text` means. A relative path leads where that of a module
/// would: to what exists below the configuration's folder or the working
/// directory, else below the first.
pub(super) fn log_target(cursor: &Cursor<'_>, text: &str, env: &BuildEnv) -> LogTarget {
    match LogTarget::parse(text) {
        LogTarget::File(path) => {
            let path = env.resolve(&path);
            warn_if_unwritable(cursor, &path);
            LogTarget::File(path)
        }
        other => other,
    }
}

/// Warns if this user could not write to `path`, and makes nothing. Another
/// user may run the proxy, so that it is no error.
pub(super) fn warn_if_unwritable(cursor: &Cursor<'_>, path: &Path) {
    let warn = |what: String| cursor.warning(Finding::said(kind::IO, what));
    if path.is_dir() {
        return warn(format!("log {} is a folder", path.display()));
    }
    // Missing folders will be made below the first that is there.
    let there = path.ancestors().find(|part| !part.as_os_str().is_empty() && part.exists());
    let there = there.unwrap_or(Path::new("."));
    if there != path && !there.is_dir() {
        return warn(format!("log {} cannot be made: {} is no folder", path.display(), there.display()));
    }
    if let Err(error) = access(there, Access::WRITE_OK) {
        let error = std::io::Error::from(error);
        warn(format!("log {} cannot be written by this user: {}: {error}", path.display(), there.display()));
    }
}
