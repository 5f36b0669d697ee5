//! Plugins in processes of their own, in whatever language, spoken to by gRPC
//! as MOSN speaks to its plugins.
//!
//! ```text
//!  builder ▸ settings ▸ spec        what the configuration says
//!  host ▸ supervisor                which plugins there are, and the life of each
//!      ▸ child, handshake, output   a program as a child process
//!      ▸ confine, cgroup, usage     what it may take of the machine
//!      ▸ connection ▸ own           gRPC to it; that of each worker
//!  streaming                        our own protocol: many streams over one call
//!  caller ▸ call                    others that ask, such as modules
//!  filter ▸ call                    a stream that asks
//!  loader                           certificates that a plugin brings
//!  access_log                       lines of access logs that a plugin takes
//! ```
//!
//! Workers never wait: a call is a task that resumes its stream. Those of
//! filters are made on their worker, over a connection of its own; the thread
//! `plugins` has the lives of plugins and the calls of everybody else.

#![forbid(unsafe_code)]

mod access_log;
mod address;
mod builder;
mod call;
mod caller;
mod cgroup;
mod child;
mod confine;
mod connection;
mod fault;
mod fields;
mod filter;
mod handshake;
mod host;
mod limits;
mod link;
mod loader;
mod log_line;
mod metrics;
mod output;
mod own;
mod plugin;
mod settings;
mod spec;
mod streaming;
mod supervisor;
mod usage;
mod wire;

pub use builder::{Plugins, register};
pub use host::{PluginHost, Switched};
