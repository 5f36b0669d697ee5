//! Edits of hosts: at once, whatever else is being made.

use std::sync::Arc;

use serde_json::json;
use sidegate_upstream::{Cluster, ClusterConfig};
use tokio::sync::oneshot;

use super::Manager;
use crate::change::WORKERS_PATIENCE;
use crate::handle::{Answer, Applied};
use crate::live_edit::{Edited, emptied};
use crate::{Fronts, HostsEdit, HostsVersion, LiveEdits, Refused, Source, Update, Why};

impl<S: Source, F: Fronts<Settings = S::Settings>> Manager<S, F> {
    /// Edits, and answers when all workers have the change.
    pub(super) fn edit_hosts(&mut self, edit: HostsEdit, answer: oneshot::Sender<Answer>) {
        let update = Update::Hosts(edit.clone());
        let HostsEdit { cluster, deed, editor, .. } = &edit;
        let host = deed.address().to_string();
        let (applied, cluster_now) = match self.edit(&edit) {
            Ok(done) => done,
            Err(refused) => {
                tracing::warn!(%cluster, host, %editor, ?deed, why = refused.why.name(), "live edit refused: {refused}");
                let refused = Err(Arc::new(refused));
                self.meters.came_to(&update, &refused);
                let _ = answer.send(refused);
                return;
            }
        };
        let (before, after) = (&applied.changes["before"], &applied.changes["after"]);
        tracing::info!(%cluster, host, %editor, %before, %after, "live edit: {}", applied.summary);
        let applied = Ok(Arc::new(applied));
        self.meters.came_to(&update, &applied);
        self.meters.edited(self.running.clusters.edited().len());
        let Some(cluster) = cluster_now else {
            let _ = answer.send(applied);
            return;
        };
        let change = sidegate_proxy::Update::Cluster(cluster.name().clone(), Some(cluster));
        let published = self.tools.workers.publish(Arc::new(change));
        self.tools.hosts.sweep();
        tokio::spawn(async move {
            // Who hangs takes it before it serves anything again.
            published.taken(WORKERS_PATIENCE).await;
            let _ = answer.send(applied);
        });
    }

    /// What comes of an edit, and the cluster unless it is the same as before.
    fn edit(&mut self, edit: &HostsEdit) -> Result<(Applied, Option<Arc<Cluster>>), Refused> {
        let clusters = &self.running.clusters;
        let Some(known) = clusters.get(&edit.cluster).cloned() else {
            let text = format!("no cluster is called {:?}", edit.cluster);
            return Err(Refused::because(Why::NotFound, text));
        };
        let Edited { hosts, before, after } = edit.perform(known.config())?;
        let host = edit.deed.address().to_string();
        let said = |what: &Option<String>| what.clone().unwrap_or_else(|| "not there".to_owned());
        let summary = format!("{host} of {}: {} -> {}", edit.cluster, said(&before), said(&after));
        let changes = json!({ "cluster": edit.cluster, "host": host, "before": before, "after": after });
        let unchanged = hosts == known.config().hosts;
        let cluster = match unchanged {
            true => known.clone(),
            false => {
                let config = ClusterConfig { hosts, ..known.config().clone() };
                let made = Cluster::new(config, &self.tools.hosts);
                Arc::new(made.map_err(|error| Refused::because(Why::Environment, error.to_string()))?)
            }
        };
        let applied = Applied {
            version: self.history.running().clone(),
            unchanged,
            changes,
            summary,
            draining: Vec::new(),
            warnings: emptied(&cluster).into_iter().collect(),
            edits_dropped: Vec::new(),
            hosts: Some(HostsVersion::of(cluster.config())),
        };
        if unchanged {
            return Ok((applied, None));
        }
        let former = clusters.edits(&edit.cluster).map(|edits| &**edits);
        let edits = LiveEdits::follow(former, known.config(), cluster.config(), &edit.editor).map(Arc::new);
        self.running.clusters.edit(cluster.clone(), edits.clone());
        self.tools.upkeep.adopt_one(&cluster);
        self.board.edit_cluster(cluster.clone(), edits);
        Ok((applied, Some(cluster)))
    }
}
