//! The NET/IO layer: listeners, accepting, workers, sockets, deadlines, drain.
//!
//! ```text
//!  accept thread ──descriptor──▶ worker thread (current-thread runtime)
//!  one socket per listener        serves its connections, never shares them
//! ```
//!
//! A [`Service`] is what workers run; the proxy is one.

#![forbid(unsafe_code)]

mod accept;
mod arrivals;
mod buffer;
mod config;
mod deadline;
mod listener;
mod orders;
mod peers;
mod shortage;
mod socket;
mod worker;
mod workers;

pub use accept::{AcceptHandle, start_accepting};
pub use buffer::{BufferPool, ReadBuffer};
pub use config::{AcceptMode, ListenerConfig, PortSharing};
pub use deadline::{Deadline, Deadlines};
pub use listener::{BindError, BoundListener, bind};
pub use peers::Peers;
pub use shortage::Shortage;
pub use socket::{PeerEnd, Socket, Traffic, connect};
pub use worker::{Accepted, ConnectionGuard, RunPhase, Service, WorkerContext};
pub use workers::{Relief, WorkerError, Workers};
