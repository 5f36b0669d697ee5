//! What differs between two configurations, by name: pure, and about what they
//! mean, not about how they are written.
//!
//! As JSON ([`ConfigDiff::to_json`]) it is
//!
//! ```text
//! {
//!   "same": false,
//!   "lines": ["~ listener a: …"],  the same for people
//!   "listeners": {"added": ["b"], "removed": ["c"], "changed": [
//!     {"name": "a", "what": [
//!       {"part": "address", "from": "127.0.0.1:1", "to": "127.0.0.1:2"},
//!       {"part": "filters", "filters": [{"name": "auth", "change": "config"}]}]}]},
//!   "routers":   {"added": [], "removed": [], "changed": [
//!     {"name": "r", "what": [{"part": "virtual_host", "name": "v", "change": "changed", "routes":
//!       {"added": ["prefix /new"], "removed": ["path /old"], "changed": [], "reordered": false}}]}]},
//!   "clusters":  {"added": [], "removed": [], "changed": [
//!     {"name": "c", "what": [{"part": "hosts", "added": ["10.0.0.2:80"], "removed": [], "changed": []}]}]},
//!   "modules":   {"added": ["m"], "removed": [], "changed": [{"name": "n", "what": [{"part": "content"}]}]},
//!   "process":   [{"part": "log"}],
//!   "drains":    [{"listener": "c", "address": "127.0.0.1:3", "why": "removed"}],
//!   "restart":   [a finding as of `check --format json`]
//! }
//! ```

mod cluster;
mod listener;
mod module;
mod process;
mod restart;
mod router;
mod show;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sidegate_api::Address;
use sidegate_net::AcceptMode;

pub use cluster::{ClusterPart, HostChanges};
pub use listener::{FilterChange, FilterChanged, ListenerPart};
pub use module::ModulePart;
pub use process::ProcessPart;
pub use restart::needs_restart;
pub use router::{RouteChanges, RouterPart};

use crate::{Config, Diagnostic, Listener};

/// What a reload would do to what runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigDiff {
    /// By name; a listener does not change with the content of its router.
    pub listeners: Changes<ListenerPart>,
    /// By name.
    pub routers: Changes<RouterPart>,
    /// By name.
    pub clusters: Changes<ClusterPart>,
    /// By name: those that filters come from.
    pub modules: Changes<ModulePart>,
    /// What belongs to none of them.
    pub process: Vec<ProcessPart>,
    /// Listeners whose connections would end.
    pub drains: Vec<Drain>,
    /// What stands in the way of a reload.
    pub restart: Vec<Diagnostic>,
}

/// Things of one kind. Names are in configured order: of the wanted
/// configuration, or of the running one for what is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes<P> {
    /// Names that are new.
    pub added: Vec<Arc<str>>,
    /// Names that are gone.
    pub removed: Vec<Arc<str>>,
    /// Names that stay, and what is different.
    pub changed: Vec<Changed<P>>,
}

/// A thing that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<P> {
    /// Its name.
    pub name: Arc<str>,
    /// At least one part.
    pub what: Vec<P>,
}

/// Connections that would end within `graceful_timeout`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// The listener.
    pub listener: Arc<str>,
    /// Where it listens.
    pub address: Address,
    /// What becomes of it.
    pub why: DrainWhy,
}

/// Why connections end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrainWhy {
    /// There is no such listener any more.
    Removed,
    /// It listens elsewhere.
    Moved {
        /// Where.
        to: Address,
    },
    /// It listens there in another way.
    Rebound,
}

/// What a change from `running` to `wanted` would do.
pub fn diff(running: &Config, wanted: &Config) -> ConfigDiff {
    let name = |listener: &Listener| listener.net.name.clone();
    let listeners = Changes::between(&running.listeners, &wanted.listeners, name, listener::parts);
    let routers =
        Changes::between(&running.router_shapes, &wanted.router_shapes, |router| router.name.clone(), router::parts);
    let clusters =
        Changes::between(&running.clusters, &wanted.clusters, |cluster| cluster.name.clone(), cluster::parts);
    let modules = Changes::between(
        &module::modules(running),
        &module::modules(wanted),
        |module| module.name.clone(),
        module::parts,
    );
    let process = process::parts(running, wanted);
    let drains = drains(running, wanted, &listeners);
    ConfigDiff { listeners, routers, clusters, modules, process, drains, restart: needs_restart(running, wanted) }
}

impl ConfigDiff {
    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.listeners.is_empty()
            && self.routers.is_empty()
            && self.clusters.is_empty()
            && self.modules.is_empty()
            && self.process.is_empty()
    }
}

impl<P> Changes<P> {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// What is different in `name`, which stays; nothing if it is as before.
    pub fn of(&self, name: &str) -> &[P] {
        let changed = self.changed.iter().find(|changed| *changed.name == *name);
        changed.map_or(&[], |changed| &changed.what)
    }

    fn between<T>(
        running: &[T],
        wanted: &[T],
        name: impl Fn(&T) -> Arc<str>,
        parts: impl Fn(&T, &T) -> Vec<P>,
    ) -> Self {
        let mut gone: HashMap<Arc<str>, &T> = running.iter().map(|entry| (name(entry), entry)).collect();
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        for entry in wanted {
            let name = name(entry);
            match gone.remove(&name) {
                Some(before) => {
                    let what = parts(before, entry);
                    if !what.is_empty() {
                        changed.push(Changed { name, what });
                    }
                }
                None => added.push(name),
            }
        }
        let removed = running.iter().map(name).filter(|name| gone.contains_key(name)).collect();
        Changes { added, removed, changed }
    }
}

fn drains(running: &Config, wanted: &Config, changes: &Changes<ListenerPart>) -> Vec<Drain> {
    // The names are looked up in lists of what changed: none where nothing did.
    if changes.removed.is_empty() && changes.changed.is_empty() {
        return Vec::new();
    }
    let sockets: HashSet<_> = wanted.listeners.iter().filter_map(fixed_socket).collect();
    let drain = |listener: &Listener| {
        let name = &listener.net.name;
        let why = match changes.removed.contains(name) {
            true => DrainWhy::Removed,
            false => changes.of(name).iter().find_map(ListenerPart::ends_connections)?,
        };
        // A listener of another name takes it over as it is.
        let is_kept = fixed_socket(listener).is_some_and(|socket| sockets.contains(&socket));
        (!is_kept).then(|| Drain { listener: name.clone(), address: listener.net.address.clone(), why })
    };
    running.listeners.iter().filter_map(drain).collect()
}

/// What makes a socket the same one; `None` for any free port, which is the
/// listener's own.
fn fixed_socket(listener: &Listener) -> Option<(&Address, AcceptMode, Option<u32>)> {
    let net = &listener.net;
    let is_fixed = net.address.socket_addr().is_none_or(|address| address.port() != 0);
    is_fixed.then_some((&net.address, net.accept, net.socket_mode))
}
