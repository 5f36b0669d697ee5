//! What a listener needs to know.

use std::sync::Arc;
use std::time::Duration;

use sidegate_api::Address;

/// One listener, as resolved from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Unique name.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: Address,
    /// Length of the kernel's accept queue.
    pub backlog: u32,
    /// Accept point: one for all workers, or one per worker.
    pub accept: AcceptMode,
    /// Close a downstream connection after this long without a request;
    /// `None`: never.
    pub idle_timeout: Option<Duration>,
    /// Permission bits of a Unix socket's file; `None`: as the umask says.
    pub socket_mode: Option<u32>,
}

/// How connections reach workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AcceptMode {
    /// One socket; each connection goes to the worker with the fewest.
    #[default]
    Balanced,
    /// `SO_REUSEPORT`: one socket per worker, the kernel spreads by hash.
    ReusePort(PortSharing),
}

/// Whether somebody else may listen on a port of [`AcceptMode::ReusePort`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PortSharing {
    /// Nobody: the kernel would give part of the connections to whatever else
    /// of the same user has asked for the port too.
    #[default]
    Alone,
    /// Another process of the same user, for a restart in which both overlap.
    Overlap,
}

impl ListenerConfig {
    /// MOSN's default for `connection_idle_timeout`.
    pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(90);
    /// Default accept queue.
    pub const DEFAULT_BACKLOG: u32 = 1024;
}
