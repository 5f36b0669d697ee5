//! What the tests are made of.

mod log;
mod message;
mod origin;
mod rig;
mod script;

pub use log::Log;
pub use message::{Conn, End, Message};
pub use origin::{Origin, ok};
pub use rig::{MAIN, Rig, Setup, cluster, route, route_to, wait_for};
pub use script::{At, Script, boom};

use std::time::Duration;

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(10);
