//! What the process may use, how near it is to that, and what is done about it.
//!
//! ```text
//!  manager thread ──samples──▶ pressure ──▶ actions ──orders──▶ workers
//!        ▲                                    │
//!        │ counters, in batches               └──▶ gate of the accept thread
//!  ledgers (one per worker) ◀── streams, held bytes, pending filters
//! ```
//!
//! A worker keeps its books in a [`Ledger`] of its own and takes what it needs
//! from the process's quotas in batches, so that a stream costs a few plain
//! stores. What is taken is counted before memory is there: sampling alone is
//! too slow for clients that send hundreds of MiB per second.

#![forbid(unsafe_code)]

mod action;
mod config;
mod gate;
mod heavy;
mod idle;
mod ledger;
mod limits;
mod listener;
mod manager;
mod meters;
mod orders;
mod pressure;
mod quota;
mod resident;
mod shared;

pub use action::{Action, Thresholds};
pub use config::{Bound, ConnectionLimits, OverloadConfig, Percent};
pub use gate::{Gate, Ticket, TooMany};
pub use heavy::HeavyMark;
pub use idle::{IdleOrder, IdleTask, IdleVisit};
pub use ledger::{Ledger, SMALL_BYTES, Shortage};
pub use limits::{Machine, ResolvedLimits};
pub use listener::{ListenerId, ListenerIds};
pub use manager::Manager;
pub use orders::Order;
pub use shared::Overload;
