//! The Stream layer: one request and its response on a socket, on the server's
//! and the client's side, and the pools of upstream connections.
//!
//! Everything here is poll functions over one connection; the proxy composes
//! them, so that both directions of a stream move in one task without a
//! channel between them.

#![forbid(unsafe_code)]

mod client;
pub mod h2;
mod message;
mod output;
mod pool;
mod server;
mod tunnel;
mod wire;

pub use client::{ClientConnection, ClientError, ClosedBy, OnClose};
pub use message::{Announced, Data, End, Last, Reason, RequestStart, ResponseStart, Watch};
pub use output::Output;
pub use pool::{HostPool, PoolLimits};
pub use server::{ServerConnection, ServerError};
pub use tunnel::{TunnelFault, TunnelWay};
pub use wire::{BodyEvent, BodyFault, Wire};
