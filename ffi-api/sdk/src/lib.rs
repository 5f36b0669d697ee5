//! Write Sidegate filters in safe Rust.
//!
//! A filter is a type with the hooks it wants; a module is a `cdylib` that
//! exports one or more of them:
//!
//! ```
//! use sidegate_sdk::prelude::*;
//!
//! #[derive(serde::Deserialize)]
//! struct Auth {
//!     token: String,
//! }
//!
//! impl RequestFilter for Auth {
//!     fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
//!         match cx.headers().get("x-token") {
//!             Some(token) if token == self.token.as_bytes() => Ok(Status::Continue),
//!             _ => cx.reply(Reply::text(403, "forbidden\n")),
//!         }
//!     }
//! }
//!
//! sidegate_sdk::export!(Auth);
//! # fn main() {}
//! ```
//!
//! - [`RequestFilter`] is the short way: one hook, nothing kept per stream.
//! - [`FilterFactory`] and [`Filter`] are the whole of it: every hook, state
//!   per stream, per worker and per route, metrics, waiting.
//! - [`testing`] runs hooks in `cargo test`, without a proxy.
//!
//! A panic or an error in a hook ends that one stream as the filter's
//! `on_fault` policy says and nothing else. Hooks must not block: a filter
//! that must wait takes a [`ResumeHandle`], returns [`Status::Pending`] and is
//! resumed from any thread.
//!
//! Feature `http`: names, values, methods and statuses of the `http` crate.
//! Feature `abi_stable`: the module carries the type layout of the ABI.

#![deny(missing_docs)]

mod background;
mod body;
pub mod config;
mod context;
mod entry;
mod error;
mod export;
mod filter;
mod headers;
mod hooks;
mod host;
#[cfg(feature = "http")]
mod http_types;
mod metrics;
mod objects;
mod panic;
mod plugin;
mod pool;
mod reply;
mod resume;
mod stream;
mod tables;
pub mod testing;
mod variable;

pub use background::Background;
pub use body::{Body, BodyMut};
pub use context::{
    Complete, RequestBody, RequestHeaders, RequestTrailers, ResetBy, ResponseBody, ResponseHeaders, ResponseTrailers,
    Resumed,
};
pub use error::{At, ConfigError, Fault, HookResult, HostError, OrFault, Status};
pub use filter::{FactoryEnv, Filter, FilterEnv, FilterFactory, NoConfig, RequestFilter, Shared};
pub use headers::{Headers, HeadersMut, Values};
pub use hooks::{BodyMode, Hooks, Phase};
pub use host::{Level, Logger};
pub use metrics::{Counter, Family, Gauge, Histogram, Label, Metric};
pub use objects::{ConfigValue, RouteObject, WorkerObject};
pub use plugin::{PluginAnswer, PluginCall, PluginCallId, PluginFailure, PluginFailureKind};
pub use pool::{BackgroundPool, NotQueued};
pub use reply::{IntoBytes, Reply, ReplyStatus};
pub use resume::ResumeHandle;
pub use stream::Stream;
pub use variable::{NumberVariable, Variable};

/// Everything a filter usually needs.
pub mod prelude {
    pub use crate::{
        bail, At, Background, BackgroundPool, BodyMode, Complete, ConfigError, ConfigValue, Counter, FactoryEnv,
        Family, Fault, Filter, FilterEnv, FilterFactory, Gauge, Histogram, HookResult, Hooks, HostError, Level, Logger,
        NoConfig, NumberVariable, OrFault, Phase, Reply, RequestBody, RequestFilter, RequestHeaders, RequestTrailers,
        ResetBy, ResponseBody, ResponseHeaders, ResponseTrailers, ResumeHandle, Resumed, RouteObject, Status, Stream,
        Variable, WorkerObject,
    };
}

/// For [`export!`] alone.
#[doc(hidden)]
pub mod __private {
    pub use sidegate_abi::{CreateArgs, CreateResult, Manifest, ModuleRecord, PANIC_ABORT, PANIC_UNWIND};

    pub use crate::entry::{create, make_factory, Maker, Offer};
    #[cfg(feature = "abi_stable")]
    pub use crate::export::layout;
    pub use crate::export::{record, Identity};
}
