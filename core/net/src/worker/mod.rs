//! Workers: threads whose connections nobody else touches.

mod context;
mod listener;
mod orders;
mod peers;
mod phase;
mod published;
mod service;
mod thread;
mod workers;

pub use context::WorkerContext;
pub use listener::ListenerState;
pub use peers::Peers;
pub use phase::RunPhase;
pub use published::Published;
pub use service::{Accepted, ConnectionGuard, Service};
pub use thread::Errand;
pub use workers::{Errands, Relief, WorkerError, Workers};

pub(crate) use phase::SharedPhase;
pub(crate) use workers::Dispatcher;
