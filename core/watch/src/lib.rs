//! What each thread of the process is doing, so that whoever hangs is named.
//!
//! Threads that run filters or modules say where they are: a [`Mark`] around
//! each call into a filter, a beat each time a worker's loop comes round. That
//! costs a few relaxed stores and no look at a clock. A [`Watchdog`] on a
//! thread of its own looks at all of them four times a second and says who
//! stands still.
//!
//! The list of threads is the process's, as signals and `fork` are. A leaf with
//! `unsafe` in it.

mod exit;
mod place;
mod sample;
mod thread;
mod watchdog;

pub use exit::{HELD_UP, end_now, end_within};
pub use place::{Hook, Place};
pub use thread::{At, Mark, OnThread, Role, ThreadReport, Watched, enter, here, threads};
pub use watchdog::{Notice, Relieving, Watchdog};
