//! What runs, for those who only look.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sidegate_net::ListenerId;
use sidegate_tls::ListenerTls;
use sidegate_upstream::Cluster;

use crate::clusters::Clusters;
use crate::history::Version;
use crate::{LiveEdits, ShownCluster};

/// Shared by the manager, which writes it, and whoever shows it.
#[derive(Debug, Default)]
pub struct Board(Mutex<Shown>);

#[derive(Debug, Default)]
struct Shown {
    running: Option<Version>,
    /// Newest first, each with whether it can be gone back to.
    versions: Vec<(Version, bool)>,
    listeners: Vec<ShownListener>,
    draining: Vec<(Arc<str>, ListenerId)>,
    clusters: Clusters,
}

/// A listener and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownListener {
    /// Its name.
    pub name: Arc<str>,
    /// What it is known by.
    pub id: ListenerId,
    /// `None` once it does not listen.
    pub bound: Option<String>,
    /// `None`: it speaks clear text.
    pub tls: Option<ListenerTls>,
}

impl Board {
    /// The version that runs.
    pub fn running(&self) -> Option<Version> {
        self.lock().running.clone()
    }

    /// All that ran, newest first, and whether each can be gone back to.
    pub fn versions(&self) -> Vec<(Version, bool)> {
        self.lock().versions.clone()
    }

    /// The listeners, in configured order.
    pub fn listeners(&self) -> Vec<ShownListener> {
        self.lock().listeners.clone()
    }

    /// Listeners that are gone from the configuration and have connections.
    pub fn draining(&self) -> Vec<(Arc<str>, ListenerId)> {
        self.lock().draining.clone()
    }

    /// The clusters, in configured order.
    pub fn clusters(&self) -> Vec<ShownCluster> {
        self.lock().clusters.shown()
    }

    /// The cluster of this name.
    pub fn cluster(&self, name: &str) -> Option<ShownCluster> {
        self.lock().clusters.shown_one(name)
    }

    /// No listener listens any more.
    pub fn listeners_closed(&self) {
        self.lock().listeners.iter_mut().for_each(|listener| listener.bound = None);
    }

    pub(crate) fn set_versions(&self, running: Version, versions: Vec<(Version, bool)>) {
        let mut shown = self.lock();
        shown.running = Some(running);
        shown.versions = versions;
    }

    pub(crate) fn set_listeners(&self, listeners: Vec<ShownListener>) {
        self.lock().listeners = listeners;
    }

    pub(crate) fn set_clusters(&self, clusters: Clusters) {
        self.lock().clusters = clusters;
    }

    pub(crate) fn replace_cluster(&self, cluster: Arc<Cluster>) {
        self.lock().clusters.replace(cluster);
    }

    pub(crate) fn edit_cluster(&self, cluster: Arc<Cluster>, edits: Option<Arc<LiveEdits>>) {
        self.lock().clusters.edit(cluster, edits);
    }

    pub(crate) fn begins_to_drain(&self, name: Arc<str>, id: ListenerId) {
        self.lock().draining.push((name, id));
    }

    pub(crate) fn is_drained(&self, id: ListenerId) {
        self.lock().draining.retain(|(_, known)| *known != id);
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
