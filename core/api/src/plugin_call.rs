//! Calls of plugins that filters make of their own accord. Whoever runs plugins
//! gives the callers; whoever calls knows no plugin.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{BuildEnv, FilterConfigError, Fingerprint};

/// Makes callers of plugins as configurations describe them.
pub trait PluginCallers: Send + Sync + fmt::Debug {
    /// Everything that can be said of `settings`, which stand at `path`, without
    /// running anything; what they depend on beside themselves.
    fn check(&self, callee: &Callee<'_>, env: &BuildEnv) -> Result<Fingerprint, Vec<FilterConfigError>>;

    /// Takes the plugin into use, for as long as the caller lives. Blocks until
    /// the plugin was started, if the process serves already.
    fn open(&self, callee: &Callee<'_>, env: &BuildEnv) -> Result<Arc<dyn PluginCaller>, Vec<FilterConfigError>>;

    /// JSON Schema of the settings, self-contained. What it marks `writeOnly`
    /// is a secret.
    fn schema(&self) -> Value;
}

/// A plugin as a configuration describes it.
#[derive(Debug, Clone, Copy)]
pub struct Callee<'a> {
    /// What its caller knows it by.
    pub name: &'a str,
    /// How it is started or reached, and bounds of calls.
    pub settings: &'a Value,
    /// Where the settings stand, from the filter's entry on.
    pub path: &'a str,
}

/// Calls one plugin, from any thread.
pub trait PluginCaller: Send + Sync + fmt::Debug {
    /// Begins a call and wakes `waker` once it has an end. Never blocks. The
    /// drop of what is returned cancels the call.
    fn call(&self, request: &PluginRequest<'_>, waker: Waker) -> Result<Box<dyn PluginCall>, PluginRefused>;
}

/// A call that was begun.
pub trait PluginCall {
    /// Its end, once, if it is there.
    fn take(&mut self) -> Option<Result<PluginAnswer, PluginFailure>>;

    /// When it ends at the latest.
    fn deadline(&self) -> Instant;
}

/// Fields of a call: names in UTF-8; a value's other bytes are replaced. Those
/// of one name become one.
pub type PluginFields<'a> = [(&'a str, &'a [u8])];

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct PluginRequest<'a> {
    /// What the call is about, as the plugin understands it.
    pub kind: &'a str,
    /// Its header.
    pub headers: &'a PluginFields<'a>,
    /// Its trailer.
    pub trailers: &'a PluginFields<'a>,
    /// Its body.
    pub body: &'a [u8],
    /// Bound of the call, if it is shorter than the configuration's.
    pub timeout: Option<Duration>,
}

/// What a plugin answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PluginAnswer {
    /// Its own number; MOSN's plugins refuse with -1.
    pub status: i32,
    /// By name.
    pub headers: Vec<(String, String)>,
    /// By name.
    pub trailers: Vec<(String, String)>,
    /// Empty if there is none.
    pub body: Vec<u8>,
}

impl PluginAnswer {
    /// What it takes of memory, about.
    pub fn bytes(&self) -> usize {
        /// Of a field beside its bytes.
        const FIELD: usize = 48;
        let fields = self.headers.iter().chain(&self.trailers);
        fields.fold(self.body.len(), |sum, (name, value)| sum + FIELD + name.len() + value.len())
    }
}

/// Why a call was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PluginRefused {
    /// As many are in flight as there may be.
    #[error("too many calls are in flight")]
    TooMany,
    /// Nothing is run here.
    #[error("no plugin is run here")]
    NotRun,
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginFailure {
    /// What kind of failure it is.
    pub kind: PluginFailureKind,
    /// In words, for logs.
    pub message: String,
}

/// What kind of failure it is. Numbers are the module ABI's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum PluginFailureKind {
    /// No answer in time.
    Timeout = 1,
    /// The plugin does not run.
    Down = 2,
    /// Somebody disabled it.
    Disabled = 3,
    /// It ended in the call.
    Lost = 4,
    /// It answered with an error.
    Error = 5,
}
