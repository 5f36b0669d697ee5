//! The state of a plugin as calls see it.

use std::sync::Arc;

use sidegate_api::PluginPhase;
use tokio::time::Instant;

use crate::connection::Connection;

/// Whether calls can be made now.
#[derive(Debug, Clone)]
pub(crate) enum Link {
    /// Soon.
    Starting,
    /// Now.
    Up(Connection),
    /// It failed, and is started again later.
    Down { until: Instant, why: Arc<str> },
    /// Not until somebody enables it.
    Disabled,
    /// Never again.
    Stopped,
}

impl Link {
    pub(crate) fn phase(&self) -> PluginPhase {
        match self {
            Link::Starting => PluginPhase::Starting,
            Link::Up(_) => PluginPhase::Up,
            Link::Down { .. } => PluginPhase::Down,
            Link::Disabled => PluginPhase::Disabled,
            Link::Stopped => PluginPhase::Stopped,
        }
    }

    /// Whether it was tried to have it.
    pub(crate) fn is_settled(&self) -> bool {
        !matches!(self, Link::Starting)
    }
}
