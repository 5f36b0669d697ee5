//! Lines of access logs that go to an extension.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::{BuildEnv, FilterConfigError, Fingerprint};

/// Takes lines for as long as somebody holds it.
pub trait AccessLogSink: fmt::Debug + Send + Sync {
    /// Takes one line, without a line feed; called by workers. Never waits: a
    /// line that finds no room is counted and lost.
    fn line(&self, line: &[u8]);
}

/// From settings to sinks.
pub trait AccessLogSinkBuilder: Send + Sync {
    /// Everything that can be said about `settings` of a log of the listener
    /// called `listener` without starting anything; what stands behind them.
    fn check(&self, settings: &Value, listener: &str, env: &BuildEnv) -> Result<Fingerprint, Vec<FilterConfigError>>;

    /// The sink that `settings` mean, the same as before where they mean the
    /// same; `None` where configurations are only looked at. May block, with a
    /// bound: not for a worker.
    fn open(
        &self,
        settings: &Value,
        listener: &str,
        env: &BuildEnv,
    ) -> Result<Option<Arc<dyn AccessLogSink>>, Vec<FilterConfigError>>;

    /// JSON Schema of the settings. What it marks `writeOnly` is a secret.
    fn schema(&self) -> Value;
}
