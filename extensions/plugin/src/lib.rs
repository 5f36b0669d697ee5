//! Plugins in processes of their own, in whatever language, spoken to by gRPC
//! as MOSN speaks to its plugins.
//!
//! ```text
//!  builder ▸ settings ▸ spec        what the configuration says
//!  host ▸ supervisor                which plugins there are, and the life of each
//!      ▸ child, handshake, output   a program as a child process
//!      ▸ confine, cgroup, usage     what it may take of the machine
//!      ▸ connection                 gRPC to it
//!  streaming                        our own protocol: many streams over one call
//!  caller ▸ call                    others that ask, such as modules
//!  filter ▸ call                    a stream that asks: from its worker to the
//!                                   thread `plugins` and back
//!  loader                           certificates that a plugin brings
//!  access_log                       lines of access logs that a plugin takes
//! ```
//!
//! Workers never wait: a call is sent to the thread `plugins`, which makes it
//! and resumes the stream.

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
mod plugin;
mod settings;
mod spec;
mod streaming;
mod supervisor;
mod usage;
mod wire;

pub use builder::{Plugins, register};
pub use host::{PluginHost, Switched};
