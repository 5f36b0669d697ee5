//! Built-in stream filters, most of them MOSN's by name and settings.
//! [`register`] adds all of them to a registry.

#![forbid(unsafe_code)]

mod builtin;
mod chance;
mod demo;
mod dsl;
mod fault;
mod flow_control;
mod gzip;
mod header_match;
mod header_to_metadata;
mod ip_access;
mod jwt_authn;
mod mirror;
mod payload_limit;
mod query;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use sidegate_api::Registry;
use sidegate_settings as settings;

use builtin::Builtin;
pub use demo::DemoBuilder;

/// Registers every built-in filter under its type.
pub fn register(registry: &mut Registry) {
    registry
        .stream_filter("demo", Arc::new(DemoBuilder))
        .stream_filter("dsl", Builtin::<dsl::Dsl>::builder())
        .stream_filter("fault", Builtin::<fault::Fault>::builder())
        .stream_filter("flowControlFilter", Builtin::<flow_control::FlowControl>::builder())
        .stream_filter("gzip", Builtin::<gzip::Gzip>::builder())
        .stream_filter("header_to_metadata", Builtin::<header_to_metadata::HeaderToMetadata>::builder())
        .stream_filter("ip_access", Builtin::<ip_access::IpAccess>::builder())
        .stream_filter("jwt_authn", Builtin::<jwt_authn::JwtAuthn>::builder())
        .stream_filter("mirror", Builtin::<mirror::Mirror>::builder())
        .stream_filter("payload_limit", Builtin::<payload_limit::PayloadLimit>::builder());
}
