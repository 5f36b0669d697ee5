//! The built-in stream filters in a running proxy.

pub(crate) mod dsl;
pub(crate) mod fault;
pub(crate) mod flow_control;
pub(crate) mod guards;
pub(crate) mod gzip;
pub(crate) mod jwt;
pub(crate) mod metadata;
pub(crate) mod mirror;
mod refused;
mod schema;
