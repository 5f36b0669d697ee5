//! Certificates that were read again take the places of those before, beside
//! the configuration: it is no other one.

use std::sync::Arc;

use sidegate_upstream::{Cluster, ClusterConfig};

use super::Manager;
use crate::certificates::Remade;
use crate::{Fronts, Source};

impl<S: Source, F: Fronts<Settings = S::Settings>> Manager<S, F> {
    /// New connections get them; those that are open go on.
    pub(super) fn take_certificates(&mut self, remade: Remade) {
        self.certificates.tell(&remade, &self.running);
        for listener in &self.running.listeners {
            let Some(tls) = &listener.spec.config.tls else { continue };
            if let Some(next) = remade.listener(&tls.contexts.get()) {
                tls.contexts.put(Arc::new(next));
                tracing::info!(listener = &*listener.socket.name, "certificates changed");
            }
        }
        let of_clusters = self.running.clusters.all().iter().filter_map(|cluster| {
            let tls = remade.cluster(cluster.config().tls.as_ref()?)?;
            Some(ClusterConfig { tls: Some(tls.clone()), ..cluster.config().clone() })
        });
        let of_clusters: Vec<ClusterConfig> = of_clusters.collect();
        let mut batch = Vec::new();
        for config in of_clusters {
            let name = config.name.clone();
            match Cluster::new(config, &self.tools.hosts) {
                Ok(cluster) => {
                    let cluster = Arc::new(cluster);
                    tracing::info!(cluster = &*name, "certificates changed");
                    self.running.clusters.replace(cluster.clone());
                    self.tools.upkeep.adopt_one(&cluster);
                    self.board.replace_cluster(cluster.clone());
                    batch.push(sidegate_proxy::Update::Cluster(name, Some(cluster)));
                }
                Err(error) => tracing::error!(cluster = &*name, %error, "certificates stay as they were"),
            }
        }
        if !batch.is_empty() {
            // Connections of those before end with their streams. Nobody waits
            // for that.
            let _ = self.tools.workers.publish(Arc::new(sidegate_proxy::Update::Batch(batch)));
            self.tools.hosts.sweep();
        }
        if remade.changed() > 0 {
            self.certificates.look_at(&self.running);
            self.certificates.complain(&self.running);
        }
        if self.certificates.taken() {
            self.certificates.read(&self.running);
        }
    }
}
