//! The admin interface: what runs, how it fares and how much it logs, under
//! MOSN's paths where MOSN has them.
//!
//! It sees the rest of the proxy as one [`AdminSource`]. Reading is open to
//! whoever reaches the configured address; changing is for the machine itself
//! or whoever has the token ([`AdminToken`]).

#![forbid(unsafe_code)]

mod access;
mod changes;
mod endpoints;
mod handlers;
mod hosts;
mod plugins;
mod query;
mod reply;
mod server;
mod sites;
mod slot;
mod source;
mod token;

#[cfg(test)]
mod tests;

pub use access::{AdminAccess, LiveEdit};
pub use server::{BindError, SocketMode};
pub use sites::{AdminServer, MetricsPage, MetricsServer};
pub use slot::Slot;
pub use source::{
    AdminSource, Change, ChangeOutcome, Changed, ClusterStatus, ConfigDumpQuery, HostDeed, HostEdit, HostStatus,
    Pending, PluginSwitch, RunState, SourceError, WorkerHangs,
};
pub use token::{AdminToken, TokenError};
