//! Objects of a factory's own making that the host keeps and hands back.

use std::any::Any;
use std::fmt;

use serde::de::DeserializeOwned;

use crate::ConfigError;

/// JSON configuration: of a filter, or of a route's `per_filter_config`.
///
/// ```
/// # use sidegate_sdk::ConfigValue;
/// #[derive(serde::Deserialize)]
/// struct Limits { max: Vec<u32> }
///
/// let config = ConfigValue::from_json(serde_json::json!({"max": [1, "2"]}));
/// let refused = config.parse::<Limits>().err().unwrap();
/// assert_eq!(refused.to_string(), "max[1]: invalid type: string \"2\", expected u32");
/// ```
#[derive(Debug, Clone)]
pub struct ConfigValue(serde_json::Value);

impl ConfigValue {
    pub(crate) fn from_bytes(json: &[u8]) -> Result<Self, ConfigError> {
        serde_json::from_slice(json)
            .map(ConfigValue)
            .map_err(|error| ConfigError::new("", format_args!("expected JSON: {error}")))
    }

    /// A configuration of this JSON.
    pub fn from_json(json: serde_json::Value) -> Self {
        ConfigValue(json)
    }

    /// Reads it as a `T`. Errors name the key.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T, ConfigError> {
        serde_path_to_error::deserialize(self.0).map_err(|error| {
            let path = error.path().to_string();
            // An empty path shows as a dot.
            let path = if path == "." { String::new() } else { path };
            ConfigError::new(path, error.inner())
        })
    }

    /// The JSON itself.
    pub fn into_json(self) -> serde_json::Value {
        self.0
    }
}

/// A route's settings for a filter; see
/// [`FilterFactory::route_config`](crate::FilterFactory::route_config).
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # struct Limit;
/// # struct LimitFilter;
/// #[derive(serde::Deserialize)]
/// struct RouteLimit { max: u64 }
///
/// impl FilterFactory for Limit {
/// #   type Config = NoConfig;
/// #   type Filter<'f> = LimitFilter;
/// #   fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> { Ok(Limit) }
/// #   fn filter(&self, _: &FilterEnv<'_>) -> LimitFilter { LimitFilter }
///     // ...
///     fn route_config(&self, config: ConfigValue) -> Result<RouteObject, ConfigError> {
///         RouteObject::parse::<RouteLimit>(config)
///     }
/// }
///
/// impl Filter for LimitFilter {
///     const HOOKS: Hooks = Hooks::new().request_headers(Phase::AfterRoute);
///
///     fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
///         let max = cx.route_config::<RouteLimit>().map_or(10, |limit| limit.max);
///         cx.headers_mut().set("x-max", max.to_string())?;
///         Ok(Status::Continue)
///     }
/// }
/// # fn main() {
/// let host = TestHost::new::<Limit>(serde_json::json!({})).unwrap();
/// let outcome = host.request("GET", "/", &[]).route_config(serde_json::json!({"max": 3})).run();
/// assert_eq!(outcome.upstream.unwrap().header("x-max"), Some("3"));
/// # }
/// ```
pub struct RouteObject(Box<dyn Any + Send + Sync>);

impl RouteObject {
    /// Keeps `config` for
    /// [`Stream::route_config::<T>`](crate::Stream::route_config).
    pub fn new<T: Send + Sync + 'static>(config: T) -> Self {
        RouteObject(Box::new(config))
    }

    /// Reads `config` as a `T` and keeps that.
    pub fn parse<T: DeserializeOwned + Send + Sync + 'static>(config: ConfigValue) -> Result<Self, ConfigError> {
        config.parse::<T>().map(RouteObject::new)
    }

    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for RouteObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RouteObject")
    }
}

/// What a factory keeps per worker; see
/// [`FilterFactory::worker_state`](crate::FilterFactory::worker_state). Filters
/// of one worker never run at the same time, so a `Cell` or `RefCell` is all
/// that a shared value needs.
///
/// ```
/// # use std::cell::Cell;
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # struct Every;
/// # struct EveryFilter;
/// struct Seen(Cell<u64>);
///
/// impl FilterFactory for Every {
/// #   type Config = NoConfig;
/// #   type Filter<'f> = EveryFilter;
/// #   fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> { Ok(Every) }
/// #   fn filter(&self, _: &FilterEnv<'_>) -> EveryFilter { EveryFilter }
///     // ...
///     fn worker_state(&self, _worker: u32) -> Option<WorkerObject> {
///         Some(WorkerObject::new(Seen(Cell::new(0))))
///     }
/// }
///
/// impl Filter for EveryFilter {
///     const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);
///
///     fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
///         let seen = cx.worker_state::<Seen>().or_fault("no worker state")?;
///         seen.0.set(seen.0.get() + 1);
///         cx.headers_mut().set("x-seen", seen.0.get().to_string())?;
///         Ok(Status::Continue)
///     }
/// }
/// # fn main() {
/// let host = TestHost::new::<Every>(serde_json::json!({})).unwrap();
/// for seen in ["1", "2"] {
///     assert_eq!(host.request("GET", "/", &[]).run().upstream.unwrap().header("x-seen"), Some(seen));
/// }
/// # }
/// ```
pub struct WorkerObject(Box<dyn Any>);

impl WorkerObject {
    /// Keeps `state` for
    /// [`Stream::worker_state::<T>`](crate::Stream::worker_state). Only the
    /// worker's own thread ever touches it.
    pub fn new<T: 'static>(state: T) -> Self {
        WorkerObject(Box::new(state))
    }

    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for WorkerObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkerObject")
    }
}
