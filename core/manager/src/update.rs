//! What is given in at the door, and who gives it.

use std::sync::Arc;
use std::time::Duration;

use sidegate_net::ListenerConfig;
use sidegate_proxy::ListenerSpec;
use sidegate_upstream::ClusterConfig;

use crate::sockets::Socket;
use crate::{HostsEdit, Refused};

/// A change of what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// The configuration is read again.
    Reload,
    /// The one before runs again.
    Rollback,
    /// A module is loaded anew for the configuration that runs.
    Module(ModuleWish),
    /// Hosts of a cluster are edited, until the next reload or rollback.
    Hosts(HostsEdit),
}

/// Which module, and which of its generations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleWish {
    /// Its name.
    pub module: String,
    /// A former generation, by the digest of its file; `None`: what the file
    /// holds now.
    pub sha256: Option<[u8; 32]>,
}

/// Who asked for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The process began.
    Start,
    /// SIGHUP.
    Signal,
    /// A followed file changed.
    Watch,
    /// The admin interface.
    Admin,
}

impl Origin {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Start => "start",
            Origin::Signal => "signal",
            Origin::Watch => "watch",
            Origin::Admin => "admin",
        }
    }
}

/// What a configuration came to: made, and not seen by anybody yet.
#[derive(Debug)]
pub struct Whole<S> {
    /// By name, in configured order.
    pub listeners: Vec<WantedListener>,
    /// By name, in configured order.
    pub clusters: Vec<ClusterConfig>,
    /// The other sockets of the process.
    pub fronts: Vec<Socket>,
    /// What [`Fronts`] take.
    pub settings: S,
    /// How long a listener that is gone may drain.
    pub graceful_timeout: Duration,
    /// What differs from what runs, for people and tools.
    pub changes: serde_json::Value,
    /// The same in one line, for the log.
    pub summary: String,
    /// Findings that are no errors, as JSON.
    pub warnings: Vec<serde_json::Value>,
    /// Nothing differs.
    pub is_same: bool,
}

/// A listener that shall serve. What did not change is the same object as
/// before.
#[derive(Debug, Clone)]
pub struct WantedListener {
    /// Its socket.
    pub net: Arc<ListenerConfig>,
    /// What its streams use.
    pub spec: Arc<ListenerSpec>,
}

/// Where configurations come from. Its methods may take long: they are called
/// on a thread of their own, one at a time.
pub trait Source: Send + 'static {
    /// What was read, enough to make the same again.
    type Document: Clone + Send + 'static;
    /// What [`Fronts`] take.
    type Settings: Send + 'static;

    /// Reads the configuration.
    fn read(&mut self, origin: Origin) -> Result<Self::Document, Refused>;

    /// SHA-256 of everything that was read.
    fn digest(&self, document: &Self::Document) -> [u8; 32];

    /// Makes everything that a configuration needs and that may fail, but for
    /// what listens. What was made last and not taken is given up.
    fn make(&mut self, document: &Self::Document, wish: Option<&ModuleWish>) -> Result<Whole<Self::Settings>, Refused>;

    /// What was made last is about to serve: filters take over what those
    /// before them know.
    fn hand_over(&mut self);

    /// What was made last serves.
    fn taken(&mut self);

    /// What was made last does not serve.
    fn given_up(&mut self);

    /// It was asked for what runs already, which goes on.
    fn unchanged(&mut self) {
        self.given_up();
    }
}

/// What serves beside the listeners: the admin interface, pages of metrics, the
/// process log; and what else of the process is not its workers'. Called on the manager's thread.
pub trait Fronts: Send + 'static {
    /// What they take from a configuration.
    type Settings: Send + 'static;

    /// A change begins, or ends.
    fn changing(&mut self, changes: Changing);

    /// Opens what may fail to be opened, but for sockets.
    fn prepare(&mut self, settings: &Self::Settings) -> Result<(), Refused>;

    /// Binds a socket; nobody is served on it yet. Gives the address it got.
    fn bind(&mut self, socket: &Socket, settings: &Self::Settings) -> Result<sidegate_api::Address, Refused>;

    /// Closes a socket that was bound, and maybe serves.
    fn unbind(&mut self, socket: &Socket) -> impl Future<Output = ()> + Send;

    /// Serves on a socket that was bound.
    fn serve(&mut self, socket: &Socket);

    /// Closes a socket that serves; answers in progress are still sent.
    fn close(&mut self, socket: &Socket) -> impl Future<Output = ()> + Send;

    /// Serves again what was closed, as before.
    fn reopen(&mut self, socket: &Socket) -> Result<(), Refused>;

    /// Everything but sockets is like this from now on.
    fn take(&mut self, settings: Self::Settings);

    /// Nothing of what was prepared is wanted.
    fn give_up(&mut self);
}

/// Whether something is being changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changing {
    /// It begins.
    Begins,
    /// It is over, whatever came of it.
    Ends,
}
