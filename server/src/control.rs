//! The control thread while the process serves: signals, and what upkeep finds
//! out about hosts.

use std::sync::Arc;
use std::time::Duration;

use sidegate_api::Metrics;
use sidegate_net::Workers;
use sidegate_proxy::{ProxyService, Update};
use sidegate_telemetry::{LogSinks, Logging};
use sidegate_upkeep::{Change, Upkeep, resolve_once};
use sidegate_upstream::{Cluster, ClusterConfig, HostRegistry};

use crate::admin_source::Process;
use crate::signals::{NoSuchThing, Order, Signals};

/// How long a start waits for the names of hosts. Who cannot be resolved by
/// then is resolved while the process serves.
const NAMES_PATIENCE: Duration = Duration::from_secs(5);

/// What the control thread serves with.
pub(crate) struct Control {
    clusters: Vec<Arc<Cluster>>,
    hosts: HostRegistry,
    upkeep: Upkeep,
}

/// Gives clusters the hosts whose names can be resolved now.
pub(crate) async fn find_hosts(clusters: &mut [ClusterConfig]) {
    resolve_once(clusters, NAMES_PATIENCE).await;
}

impl Control {
    /// Begins the upkeep of `clusters`. To be called within the
    /// control runtime.
    pub(crate) fn new(clusters: Vec<Arc<Cluster>>, hosts: HostRegistry, metrics: Metrics, sinks: LogSinks) -> Self {
        let mut upkeep = Upkeep::new(metrics, sinks);
        clusters.iter().for_each(|cluster| upkeep.adopt_one(cluster));
        Control { clusters, hosts, upkeep }
    }

    /// Serves until the process is told to end.
    pub(crate) async fn until_end(
        &mut self,
        workers: &Workers<ProxyService>,
        process: &Process,
        signals: &mut Signals,
        logging: &Logging,
        sinks: &LogSinks,
    ) {
        loop {
            tokio::select! {
                order = signals.next() => match order {
                    Order::End => return,
                    other => obey(other, logging, sinks),
                },
                change = self.upkeep.changed() => self.change(change, workers, process),
            }
        }
    }

    /// Keeps hosts current for this long, whatever signals say.
    pub(crate) async fn upkeep_for(&mut self, time: Duration, workers: &Workers<ProxyService>, process: &Process) {
        let mut over = std::pin::pin!(tokio::time::sleep(time));
        loop {
            tokio::select! {
                () = &mut over => return,
                change = self.upkeep.changed() => self.change(change, workers, process),
            }
        }
    }

    /// Publishes that one cluster has other hosts.
    fn change(&mut self, change: Change, workers: &Workers<ProxyService>, process: &Process) {
        let Some(cluster) = self.clusters.iter_mut().find(|cluster| *cluster.name() == change.cluster) else {
            return;
        };
        let config = ClusterConfig { hosts: change.hosts, ..cluster.config().clone() };
        let addresses: Vec<_> = config.hosts.iter().map(|host| host.address.to_string()).collect();
        match Cluster::new(config, &self.hosts) {
            Ok(changed) => {
                tracing::info!(cluster = &*change.cluster, hosts = addresses.join(" "), "hosts changed");
                *cluster = Arc::new(changed);
                self.upkeep.adopt_one(cluster);
                workers.publish(Arc::new(Update::Cluster(change.cluster, Some(cluster.clone()))));
                process.set_clusters(self.clusters.clone());
                // What the last cluster but one held is gone by now, most
                // likely; what is not goes with the next change.
                self.hosts.sweep();
            }
            Err(error) => tracing::error!(cluster = &*change.cluster, %error, "hosts stay as they were"),
        }
    }
}

pub(crate) fn obey(order: Order, logging: &Logging, sinks: &LogSinks) {
    match order {
        Order::ReopenLogs => {
            logging.reopen();
            sinks.reopen_all();
            tracing::info!("logs reopened");
        }
        Order::Nothing(NoSuchThing::HangUp) => {
            tracing::warn!("SIGHUP does nothing: this version takes no new configuration while it runs");
        }
        Order::Nothing(NoSuchThing::UserDefined2) => tracing::warn!(
            "SIGUSR2 does nothing: a new binary takes over as a second process beside this one, with `reuseport`"
        ),
        Order::End => {}
    }
}
