//! The NET/IO layer: listeners, accepting, connections, workers and drain.

#![forbid(unsafe_code)]

mod config;

pub use config::{AcceptMode, ListenerConfig};
