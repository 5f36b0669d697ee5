//! Certificates and keys that a plugin brings: asked for when a configuration
//! is taken, and again before they expire.
//!
//! Keys stay in memory: no file, log line or error text has them.

mod answer;
mod due;
mod provider;
mod settings;

pub(crate) use provider::Loader;
pub(crate) use settings::LoaderBuilder;
