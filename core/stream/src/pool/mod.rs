//! Pools of upstream connections.

mod exclusive;
mod handed;
mod host;
mod names;
mod shared;

use std::num::NonZeroU32;
use std::time::Duration;

pub use handed::Handed;
pub use host::HostPool;
pub use shared::{Connecting, InLine, SharedPool, Taken};

/// When a pooled connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// After this long without a request; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// After so many requests; `None`: no bound.
    pub max_requests: Option<NonZeroU32>,
}
