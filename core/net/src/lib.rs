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
mod bind;
mod buffer;
mod config;
mod deadline;
mod line;
mod listeners;
mod shortage;
mod socket;
mod worker;

pub use accept::{AcceptHandle, start_accepting};
pub use bind::{BindError, BoundListener, bind, overlap};
pub use buffer::{BufferPool, ReadBuffer};
pub use config::{AcceptMode, ListenerConfig, PortSharing};
pub use deadline::{Deadline, Deadlines};
pub use line::{Line, Place, Turns};
pub use shortage::Shortage;
// The lowest layer that tells listeners apart; everybody else finds it here.
pub use sidegate_overload::{ListenerId, ListenerIds};
pub use socket::{PeerEnd, Socket, Traffic, connect};
pub use worker::{
    Accepted, ConnectionGuard, Errand, Errands, ListenerState, Peers, Published, Relief, RunPhase, Service,
    WorkerContext, WorkerError, Workers,
};
