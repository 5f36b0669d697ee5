//! MOSN's configuration schema, in JSON or YAML, resolved into the typed
//! configurations that the layers own.
//!
//! ```text
//!  text ── document ──▶ tree with positions ── reader ──▶ values ── resolve ──▶ Config
//!                                                │
//!                                                └─▶ every error and warning, with file, line, column and path
//! ```
//!
//! Lenient where MOSN files need it: keys have no case, and keys of MOSN that
//! do nothing here are warned about. Strict otherwise: unknown keys, names that
//! are defined nowhere or twice, and keys of MOSN that would send traffic
//! elsewhere, unguarded or in clear text if they were ignored, are errors.
//!
//! What may stand in a file is said once, by the tables in `schema`: readers
//! take keys and bounds from them, and so do the JSON Schema and the reference
//! page of the documentation.
//!
//! [`load`] builds filters but opens no log, binds no port and contacts nobody;
//! [`Listener::open`] opens the access logs of a listener.

#![forbid(unsafe_code)]

mod diagnostic;
pub mod diff;
pub mod document;
mod dump;
mod file;
mod include;
mod mosn_dump;
mod reader;
mod resolve;
mod reuse;
mod schema;
mod source;
mod wire;

pub use diagnostic::{ConfigErrors, Diagnostic, MAX_SHOWN, kind};
pub use diff::{ConfigDiff, diff, needs_restart};
pub use dump::{REDACTED, redact};
pub use file::{ConfigFile, LoadEnv, load};
pub use resolve::{
    AccessLogConfig, AccessLogTarget, AdminConfig, Config, ContextMaker, KnownModule, Listener, LoadMode, Loosened,
    MetricsConfig, MetricsSink, ModuleAllowance, ModulePolicy, OpenListener, PluginLog, RouteShape, RouterShape,
    SignatureRule, VirtualHostShape,
};
pub use reuse::{FilterCache, FilterIdentity, FilterPlace, Succession};
pub use schema::{json_schema, reference};
pub use sidegate_api::duration::{DurationError, parse_duration};
pub use wire::{Wire, WireError};

use sidegate_api::{duration, nearest};
