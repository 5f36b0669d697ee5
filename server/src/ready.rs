//! The file that says that everything is listening, and where.

use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};
use sidegate_api::Address;

/// Writes process id and addresses. The file appears whole or not at all.
pub(crate) fn write(
    path: &Path,
    listeners: &[(String, Address)],
    admin: Option<&Address>,
    metrics: &[Address],
) -> io::Result<()> {
    let listeners: Map<String, Value> =
        listeners.iter().map(|(name, address)| (name.clone(), json!(address.to_string()))).collect();
    let ready = json!({
        "pid": std::process::id(),
        "listeners": listeners,
        "admin": admin.map(ToString::to_string),
        "metrics": metrics.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, ready.to_string())?;
    std::fs::rename(&partial, path)
}
