//! Names of hosts, resolved again and again.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidegate_api::Address;
use sidegate_upstream::{Cluster, ClusterConfig, DnsConfig, HostConfig, NamedHost, Ttl};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Change;
use crate::resolver::{Answer, Resolver};
use crate::task::Task;

/// With `respect_dns_ttl`: a name is asked for so much after its answer ran
/// out, as in MOSN, so that one with a time to live of 0 is no loop.
const AFTER_TTL: Duration = Duration::from_secs(1);

/// The names of all clusters that have some.
#[derive(Debug)]
pub(crate) struct Names {
    clusters: HashMap<Arc<str>, (DnsConfig, Task)>,
    changes: mpsc::UnboundedSender<Change>,
    changed: mpsc::UnboundedReceiver<Change>,
}

impl Default for Names {
    fn default() -> Self {
        let (changes, changed) = mpsc::unbounded_channel();
        Names { clusters: HashMap::new(), changes, changed }
    }
}

impl Names {
    pub(crate) fn adopt_one(&mut self, cluster: &Cluster) {
        let name = cluster.name();
        let Some(config) = &cluster.config().dns else {
            self.forget(name);
            return;
        };
        if self.clusters.get(name).is_some_and(|(known, _)| known == config) {
            return;
        }
        let task = follow(name.clone(), config.clone(), cluster.config(), self.changes.clone());
        self.clusters.insert(name.clone(), (config.clone(), Task::spawn(task)));
    }

    pub(crate) fn forget(&mut self, cluster: &str) {
        self.clusters.remove(cluster);
    }

    pub(crate) async fn changed(&mut self) -> Change {
        loop {
            match self.changed.recv().await {
                // A change may have been on its way when its cluster went.
                Some(change) if self.clusters.contains_key(&change.cluster) => return change,
                Some(_) => {}
                // Not while `changes` is here, too.
                None => std::future::pending().await,
            }
        }
    }
}

/// Resolves all names once and gives the clusters the hosts that were found
/// before `patience` ended, so that a process begins with hosts.
pub async fn resolve_once(clusters: &mut [ClusterConfig], patience: Duration) {
    let deadline = tokio::time::Instant::now() + patience;
    let mut asked = JoinSet::new();
    let mut known: Vec<Addresses> = Vec::with_capacity(clusters.len());
    for (position, cluster) in clusters.iter().enumerate() {
        let Some(dns) = &cluster.dns else {
            known.push(Addresses::default());
            continue;
        };
        known.push(Addresses::of(dns, &[]));
        let Some(resolver) = resolver(&cluster.name, dns) else { continue };
        for (index, host) in dns.names.iter().enumerate() {
            let (cluster, host, resolver) = (cluster.name.clone(), host.clone(), resolver.clone());
            asked.spawn(async move {
                let answer = resolver.resolve(&host.name).await;
                let answer = answer.inspect_err(|error| unresolved(&cluster, &host, error));
                (position, index, answer.map(|answer| answer.addresses).unwrap_or_default())
            });
        }
    }
    while let Ok(Some(done)) = tokio::time::timeout_at(deadline, asked.join_next()).await {
        if let Ok((position, index, addresses)) = done {
            known[position].0[index] = addresses;
        }
    }
    for (cluster, known) in clusters.iter_mut().zip(known) {
        if let Some(dns) = &cluster.dns {
            cluster.hosts = known.hosts(dns);
        }
    }
}

/// Addresses of each name, in configured order.
#[derive(Debug, Default)]
struct Addresses(Vec<Vec<IpAddr>>);

impl Addresses {
    /// As far as `hosts` tell them.
    fn of(config: &DnsConfig, hosts: &[HostConfig]) -> Self {
        let of_name = |name: &NamedHost| {
            let own = hosts.iter().filter(|host| host.name.as_ref() == Some(&name.name));
            let socket = own.filter_map(|host| host.address.socket_addr());
            socket.filter(|socket| socket.port() == name.port).map(|socket| socket.ip()).collect()
        };
        Addresses(config.names.iter().map(of_name).collect())
    }

    /// All hosts: those that are given by address and those of the names; an
    /// address that several have is the first one's.
    fn hosts(&self, config: &DnsConfig) -> Vec<HostConfig> {
        let resolved = config.names.iter().zip(&self.0).flat_map(|(name, addresses)| {
            addresses.iter().map(|ip| HostConfig {
                hostname: Some(name.hostname.clone().unwrap_or_else(|| name.name.clone())),
                weight: name.weight,
                metadata: name.metadata.clone(),
                name: Some(name.name.clone()),
                ..HostConfig::new(Address::Tcp(SocketAddr::new(*ip, name.port)))
            })
        });
        let mut seen = HashSet::new();
        config.fixed.iter().cloned().chain(resolved).filter(|host| seen.insert(host.address.clone())).collect()
    }
}

/// Resolves the names of one cluster until the task is stopped.
fn follow(
    cluster: Arc<str>,
    dns: DnsConfig,
    config: &ClusterConfig,
    changes: mpsc::UnboundedSender<Change>,
) -> impl Future<Output = ()> + Send + 'static {
    let mut known = Addresses::of(&dns, &config.hosts);
    let mut hosts = config.hosts.clone();
    async move {
        let Some(resolver) = resolver(&cluster, &dns) else { return };
        let (answers, mut answered) = mpsc::unbounded_channel();
        let mut asking = JoinSet::new();
        for (index, host) in dns.names.iter().enumerate() {
            asking.spawn(ask(cluster.clone(), host.clone(), resolver.clone(), timing(&dns), index, answers.clone()));
        }
        drop(answers);
        while let Some((index, addresses)) = answered.recv().await {
            known.0[index] = addresses;
            let now = known.hosts(&dns);
            if now != hosts {
                hosts = now.clone();
                if changes.send(Change { cluster: cluster.clone(), hosts: now }).is_err() {
                    return;
                }
            }
        }
    }
}

/// When a name is asked for again.
#[derive(Debug, Clone, Copy)]
struct Timing {
    refresh_rate: Duration,
    ttl: Ttl,
}

fn timing(dns: &DnsConfig) -> Timing {
    Timing { refresh_rate: dns.refresh_rate, ttl: dns.ttl }
}

impl Timing {
    fn pause(self, answer: Option<&Answer>, now: Instant) -> Duration {
        match (self.ttl, answer) {
            (Ttl::Respect, Some(answer)) => answer.valid_until.saturating_duration_since(now) + AFTER_TTL,
            (Ttl::Ignore, _) | (_, None) => self.refresh_rate,
        }
    }
}

/// Asks for one name and passes its addresses on. A name that cannot be
/// resolved, or has no address, keeps those it had.
async fn ask(
    cluster: Arc<str>,
    host: NamedHost,
    resolver: Arc<Resolver>,
    timing: Timing,
    index: usize,
    answers: mpsc::UnboundedSender<(usize, Vec<IpAddr>)>,
) {
    let mut failing = false;
    loop {
        let answer = resolver.resolve(&host.name).await;
        match &answer {
            Ok(answer) => {
                failing = false;
                if answers.send((index, answer.addresses.clone())).is_err() {
                    return;
                }
            }
            Err(error) if !failing => {
                failing = true;
                unresolved(&cluster, &host, error);
            }
            Err(_) => {}
        }
        tokio::time::sleep(timing.pause(answer.as_ref().ok(), Instant::now())).await;
    }
}

fn resolver(cluster: &str, dns: &DnsConfig) -> Option<Arc<Resolver>> {
    let made = Resolver::new(dns);
    made.map(Arc::new).inspect_err(|error| tracing::error!(cluster, %error, "names are not resolved")).ok()
}

fn unresolved(cluster: &str, host: &NamedHost, error: &dyn std::fmt::Display) {
    tracing::warn!(cluster, name = &*host.name, %error, "name cannot be resolved; its hosts stay as they are");
}

#[cfg(test)]
mod tests;
