//! Pools of upstream connections.

mod exclusive;
mod shared;

pub use exclusive::{HostPool, PoolLimits};
pub use shared::{Connecting, InLine, SharedPool, Taken};
