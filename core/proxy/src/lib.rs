//! The Proxy layer: the way of a stream through filters, route, host and back.
//!
//! ```text
//!  connection   request after request, from a connection's first byte to its last
//!  phases       filters ▸ route ▸ filters ▸ host ▸ filters ▸ upstream, and back
//!  relay        both directions of one attempt, in one poll function
//!  mirror       copies of requests, as tasks of their own
//!  host         which host, a connection to it, what is counted of it
//!  hooks        a head, chunk or trailer past the filters; pending filters
//!  stream       what all phases share; completion, whatever happened
//!  chain        the filters of a stream and the calls into them
//!  view         one worker's view of the configuration
//! ```
//!
//! Each folder uses those that stand below it, and none above.

#![forbid(unsafe_code)]

mod chain;
mod config;
mod connection;
mod hooks;
mod host;
mod mirror;
mod outcome;
mod phases;
mod relay;
mod service;
mod slots;
mod stream;
mod update;
mod view;

pub use config::{
    BodyPace, ClientCertMode, ClientCertPart, FilterEntry, ForwardClientCert, ForwardedFor, Forwarding, Http1Limits,
    ProxyConfig, RequestIdPolicy, RouteConfigs, Timeouts,
};
pub use service::ProxyService;
pub use sidegate_stream::{TargetBytes, UpgradeProtocol};
pub use update::{ListenerSpec, RouteSet, Update};
