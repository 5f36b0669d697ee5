//! Keys that stand wherever a configuration names a plugin, with the same meaning.

use sidegate_settings::{Key, Shape, key};

use super::tables;
use crate::limits;

pub(crate) const ARGS: Key = key("args", Shape::Array(&Shape::Text), "none", "Its arguments.");
pub(crate) const ENV: Key =
    key("env", Shape::Map(&Shape::Text), "none", "Its environment: it has this, and what the handshake needs.");
pub(crate) const MAX_PROCS: Key =
    key("max_procs", Shape::Integer(0, 1024), "1", "`MOSN_PROCS`: processors that a plugin made for MOSN uses.");
pub(crate) const LIMITS: Key =
    key("limits", Shape::Object(&limits::LIMITS), "none", "What it may take of the machine.");
pub(crate) const START_TIMEOUT: Key =
    key("start_timeout", Shape::Duration, "60s", "Time until the plugin says where it listens.");
pub(crate) const STOP_TIMEOUT: Key =
    key("stop_timeout", Shape::Duration, "2s", "Time from the order to end until it is killed.");
pub(crate) const RESTART_BACKOFF: Key =
    key("restart_backoff", Shape::Duration, "100ms", "Pause before a start after a failure; doubles each time.");
pub(crate) const RESTART_BACKOFF_MAX: Key =
    key("restart_backoff_max", Shape::Duration, "30s", "The longest such pause.");
pub(crate) const COOKIE: Key = key(
    "cookie",
    Shape::Object(&tables::COOKIE),
    "`MOSN_PLUGIN=ON`",
    "By what it knows that it is started as a plugin.",
);
