//! Pools of upstream connections.

mod exclusive;

pub use exclusive::{HostPool, PoolLimits};
