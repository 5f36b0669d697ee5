//! Objects of a factory's own making that the host keeps and hands back.

use std::any::Any;
use std::fmt;

use serde::de::DeserializeOwned;

use crate::ConfigError;

/// JSON configuration: of a filter, or of a route's `per_filter_config`.
#[derive(Debug, Clone)]
pub struct ConfigValue(serde_json::Value);

impl ConfigValue {
    pub(crate) fn from_bytes(json: &[u8]) -> Result<Self, ConfigError> {
        serde_json::from_slice(json)
            .map(ConfigValue)
            .map_err(|error| ConfigError::new("", format_args!("expected JSON: {error}")))
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
pub struct RouteObject(Box<dyn Any + Send + Sync>);

impl RouteObject {
    /// Keeps `config` for
    /// [`Stream::route_config::<T>`](crate::Stream::route_config).
    pub fn new<T: Send + Sync + 'static>(config: T) -> Self {
        RouteObject(Box::new(config))
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
/// [`FilterFactory::worker_state`](crate::FilterFactory::worker_state).
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
