//! The Proxy layer: the way of a stream through filters, route, host and back.

#![forbid(unsafe_code)]

mod config;

pub use config::{
    FilterEntry, ForwardedFor, Forwarding, Http1Limits, ProxyConfig, RequestIdPolicy, RouteConfigs, Timeouts,
};
