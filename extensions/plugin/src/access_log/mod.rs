//! Access logs whose lines a plugin takes: put into a bounded queue by workers,
//! sent in batches by the thread `plugins`.
//!
//! ```text
//!  settings         what an entry says
//!  sink             from entries to logs, and the log as workers have it
//!  queue            lines that wait
//!  sender ▸ batch   how they get to the plugin
//!  meters           what is counted, and told once in a while
//! ```

mod batch;
mod meters;
mod queue;
mod sender;
mod settings;
mod sink;

pub(crate) use sink::{Ending, Log, LogBuilder};
