//! The clock of passive ejection: hosts come back when their time is up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidegate_upstream::Cluster;
use tokio::sync::watch;

use crate::task::Task;

/// One task per cluster that ejects hosts.
#[derive(Debug, Default)]
pub(crate) struct Ejections {
    running: HashMap<Arc<str>, Review>,
}

#[derive(Debug)]
struct Review {
    interval: Duration,
    cluster: watch::Sender<Arc<Cluster>>,
    _task: Task,
}

impl Ejections {
    pub(crate) fn adopt_one(&mut self, cluster: &Arc<Cluster>) {
        let Some(config) = &cluster.config().outlier else {
            self.forget(cluster.name());
            // Nobody would let them back.
            cluster.end_ejections();
            return;
        };
        match self.running.get(cluster.name()) {
            // Its interval must not begin anew with every change.
            Some(review) if review.interval == config.interval => {
                review.cluster.send_replace(cluster.clone());
            }
            _ => {
                self.running.insert(cluster.name().clone(), Review::new(cluster, config.interval));
            }
        }
    }

    pub(crate) fn forget(&mut self, cluster: &str) {
        self.running.remove(cluster);
    }
}

impl Review {
    fn new(cluster: &Arc<Cluster>, interval: Duration) -> Self {
        let (sender, current) = watch::channel(cluster.clone());
        let task = Task::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                let cluster = current.borrow().clone();
                cluster.review_ejections(Instant::now());
            }
        });
        Review { interval, cluster: sender, _task: task }
    }
}
