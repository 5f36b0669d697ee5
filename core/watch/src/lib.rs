//! What each thread of the process is doing, so that whoever hangs, crashes,
//! exits or forks is named.
//!
//! Threads that run filters or modules say where they are: a [`Mark`] around
//! each call into a filter, a beat each time a worker's loop comes round. That
//! costs a few relaxed stores and no look at a clock. A [`Watchdog`] on a
//! thread of its own looks at all of them four times a second and says who
//! stands still.
//!
//! The same marks tell where a crash was: [`report_ends`].
//!
//! [`Ticks`] is the clock for what is measured at each of those calls.
//!
//! The list of threads is the process's, as signals and `fork` are. A leaf with
//! `unsafe` in it.

mod crash;
mod descriptors;
mod exit;
mod fork;
mod place;
mod sample;
mod thread;
mod ticks;
mod watchdog;

pub use exit::{HELD_UP, end_now, end_within};
pub use fork::{Listening, starting_a_program};
pub use place::{Hook, Place};
pub use thread::{At, Mark, OnThread, Role, ThreadReport, Watched, enter, here, threads};
pub use ticks::{Tick, Ticks};
pub use watchdog::{Notice, Relieving, Watchdog};

/// From now on one line on standard error tells of a crash and of an `exit`
/// that is not our own; forks are counted, and their children let go of our
/// ports and connections. Once, early, on the main thread.
pub fn report_ends() {
    crash::install();
    exit::guard();
    fork::install();
}

/// A module was loaded: the loader calls its file `path`, people call it
/// `name`.
pub fn note_loaded(path: &str, name: &str) {
    crash::objects::note_loaded(Some((path, name)));
    exit::guard_again();
}

/// What was loaded at these addresses is there no more.
pub fn note_unloaded(addresses: std::ops::Range<usize>) {
    crash::objects::note_unloaded(&addresses);
}
