//! Edits of hosts: at once, whatever else is being made.

use std::sync::Arc;

use serde_json::json;
use sidegate_api::Address;
use sidegate_upkeep::check_first;
use sidegate_upstream::{Cluster, ClusterConfig};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::Manager;
use crate::change::{CHECKS_PATIENCE, WORKERS_PATIENCE};
use crate::handle::{Answer, Applied};
use crate::live_edit::{Edited, emptied};
use crate::{Fronts, HostDeed, HostsEdit, HostsVersion, LiveEdits, Origin, Refused, Source, Update, Why};

/// Edits that wait for the first check of the host that they add.
#[derive(Default)]
pub(super) struct Checking {
    checks: JoinSet<Checked>,
    /// Clusters and the hosts that come to them.
    coming: Vec<(String, Address)>,
}

/// The cluster holds the host, which knows by now how it is.
type Checked = (HostsEdit, oneshot::Sender<Answer>, Arc<Cluster>);

fn place(edit: &HostsEdit) -> (String, Address) {
    (edit.cluster.clone(), edit.deed.address().clone())
}

impl Checking {
    /// Waits for the next one. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Checked {
        loop {
            match self.checks.join_next().await {
                Some(Ok(checked)) => {
                    self.coming.retain(|coming| *coming != place(&checked.0));
                    return checked;
                }
                // It panicked, and whoever waits hears that it is over.
                Some(Err(_)) => {}
                None => return std::future::pending().await,
            }
        }
    }
}

impl<S: Source, F: Fronts<Settings = S::Settings>> Manager<S, F> {
    /// Begins to edit. A host that comes to a cluster with a health check is
    /// checked before, so that none that is out gets a request.
    pub(super) fn asked_to_edit(&mut self, edit: HostsEdit, answer: oneshot::Sender<Answer>) {
        match self.host_to_check(&edit) {
            _ if self.checking.coming.contains(&place(&edit)) => {
                let refused = Refused::because(Why::Busy, "this host is being added, and checked before it serves");
                self.refuse(&Update::Hosts(edit), Origin::Admin, vec![answer], refused);
            }
            None => self.edit_hosts(edit, answer),
            Some(cluster) => {
                self.checking.coming.push(place(&edit));
                self.checking.checks.spawn(async move {
                    check_first(std::slice::from_ref(&cluster), |_| true, CHECKS_PATIENCE).await;
                    (edit, answer, cluster)
                });
            }
        }
    }

    /// The host is checked, and all else may have changed meanwhile.
    pub(super) fn checked(&mut self, (edit, answer, _held): Checked) {
        match self.is_draining {
            false => self.edit_hosts(edit, answer),
            true => {
                let refused = Refused::because(Why::Draining, "the process is draining: nothing is changed any more");
                self.refuse(&Update::Hosts(edit), Origin::Admin, vec![answer], refused);
            }
        }
    }

    /// A cluster of the host alone that is to be checked first, if there is one
    /// and nothing speaks against adding it.
    fn host_to_check(&self, edit: &HostsEdit) -> Option<Arc<Cluster>> {
        let HostDeed::Add(host) = &edit.deed else { return None };
        let known = self.running.clusters.get(&edit.cluster)?.config();
        known.health_check.as_ref()?;
        edit.perform(known).ok()?;
        let alone = ClusterConfig { hosts: vec![host.clone()], subsets: None, ..known.clone() };
        // What speaks against it is told when it is done.
        Cluster::new(alone, &self.tools.hosts).ok().map(Arc::new)
    }

    /// Edits, and answers when all workers have the change.
    fn edit_hosts(&mut self, edit: HostsEdit, answer: oneshot::Sender<Answer>) {
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
