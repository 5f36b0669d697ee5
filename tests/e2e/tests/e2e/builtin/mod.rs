//! The built-in stream filters in a running proxy.

mod dsl;
mod fault;
mod flow_control;
mod guards;
mod gzip;
mod jwt;
mod metadata;
mod mirror;
mod refused;
mod schema;
