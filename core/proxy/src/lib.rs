//! The Proxy layer: the way of a stream through filters, route, host and back.
//!
//! ```text
//!  connection   one task per downstream connection: head, stream, next head
//!  stream       filters ▸ route ▸ filters ▸ host ▸ filters ▸ upstream
//!  relay        both directions of one attempt, in one poll function: upload, download
//!  tunnel       both directions after a switch to another protocol
//!  meanwhile    what happens beside that: filters, held bodies, clients that leave
//!  pace         how fast a request has to arrive
//!  held         what a stream holds in memory, and who is refused or reset for it
//!  respond      response filters ▸ client; local replies come in here
//!  finish       on_complete, access log, statistics; runs whatever happened
//! ```

#![forbid(unsafe_code)]

mod attempt;
mod body_pass;
mod chain;
mod choose;
mod config;
mod connect;
mod connection;
mod copy;
mod download;
mod finish;
mod forwarding;
mod halt;
mod held;
mod hook;
mod hooks;
mod idle_pools;
mod kept;
mod max_forwards;
mod meanwhile;
mod mirror;
mod note;
mod pace;
mod plan;
mod relay;
mod respond;
mod retry;
mod room;
mod service;
mod slots;
mod stream;
mod tunnel;
mod update;
mod upload;
mod view;
mod wait;
mod waiting;

pub use config::{
    FilterEntry, ForwardedFor, Forwarding, Http1Limits, ProxyConfig, RequestIdPolicy, RouteConfigs, Timeouts,
};
pub use pace::BodyPace;
pub use service::ProxyService;
pub use sidegate_stream::{TargetBytes, UpgradeProtocol};
pub use update::{ListenerSpec, RouteSet, Update};
