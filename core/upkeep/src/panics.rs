//! Tells when panic begins and ends in clusters that nobody uses just then.

use std::collections::HashMap;
use std::sync::Arc;

use sidegate_upstream::Cluster;
use tokio::sync::watch;

use crate::task::Task;

/// One task per cluster whose hosts may be out.
#[derive(Debug, Default)]
pub(crate) struct Panics {
    running: HashMap<Arc<str>, (watch::Sender<Arc<Cluster>>, Task)>,
}

impl Panics {
    pub(crate) fn adopt_one(&mut self, cluster: &Arc<Cluster>) {
        if cluster.config().health_check.is_none() && cluster.config().outlier.is_none() {
            self.forget(cluster.name());
            return;
        }
        match self.running.get(cluster.name()) {
            Some((current, _)) => drop(current.send_replace(cluster.clone())),
            None => drop(self.running.insert(cluster.name().clone(), watch_over(cluster))),
        }
    }

    pub(crate) fn forget(&mut self, cluster: &str) {
        self.running.remove(cluster);
    }
}

fn watch_over(cluster: &Arc<Cluster>) -> (watch::Sender<Arc<Cluster>>, Task) {
    let (sender, mut current) = watch::channel(cluster.clone());
    let task = Task::spawn(async move {
        loop {
            let cluster = current.borrow_and_update().clone();
            cluster.review_panic();
            tokio::select! {
                () = cluster.health_changed() => {}
                changed = current.changed() => if changed.is_err() { return },
            }
        }
    });
    (sender, task)
}
