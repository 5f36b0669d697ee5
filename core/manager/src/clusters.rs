//! The clusters that run, and what another configuration changes in them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sidegate_upstream::{Cluster, ClusterConfig, HostConfig};

use crate::{LiveEdits, ShownCluster};

/// Clusters by name, in configured order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clusters {
    all: Vec<Arc<Cluster>>,
    places: HashMap<Arc<str>, usize>,
    /// Those whose hosts are not those of the file.
    edited: HashMap<Arc<str>, Arc<LiveEdits>>,
}

/// What a configuration changes; everything else stays the same object.
#[derive(Debug, Default)]
pub(crate) struct ClusterPlan {
    /// New ones, and those that say something else.
    pub(crate) made: Vec<ClusterConfig>,
    /// Nobody wants them any more.
    pub(crate) removed: Vec<Arc<str>>,
    /// All names, in configured order.
    pub(crate) order: Vec<Arc<str>>,
}

impl Clusters {
    pub(crate) fn new(all: Vec<Arc<Cluster>>) -> Self {
        let places = all.iter().enumerate().map(|(place, cluster)| (cluster.name().clone(), place)).collect();
        Clusters { all, places, edited: HashMap::new() }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.all.get(*self.places.get(name)?)
    }

    pub(crate) fn all(&self) -> &[Arc<Cluster>] {
        &self.all
    }

    /// Puts another one of the same name into its place.
    pub(crate) fn replace(&mut self, cluster: Arc<Cluster>) {
        if let Some(place) = self.places.get(cluster.name()) {
            self.all[*place] = cluster;
        }
    }

    /// The same, with hosts that were edited.
    pub(crate) fn edit(&mut self, cluster: Arc<Cluster>, edits: Option<Arc<LiveEdits>>) {
        let name = cluster.name().clone();
        self.replace(cluster);
        match edits {
            Some(edits) => drop(self.edited.insert(name, edits)),
            None => drop(self.edited.remove(&name)),
        }
    }

    /// What was edited in the cluster of this name.
    pub(crate) fn edits(&self, name: &str) -> Option<&Arc<LiveEdits>> {
        self.edited.get(name)
    }

    /// Names of the clusters whose hosts are not those of the file, sorted.
    pub(crate) fn edited(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.edited.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Makes `wanted`, which the same file says, what runs where hosts were
    /// edited.
    pub(crate) fn keep_edits(&self, wanted: &mut [ClusterConfig]) {
        for config in wanted.iter_mut().filter(|config| self.edited.contains_key(&config.name)) {
            if let Some(known) = self.get(&config.name) {
                config.hosts.clone_from(&known.config().hosts);
            }
        }
    }

    /// Takes over what is known of edits that were kept.
    pub(crate) fn with_edits_of(mut self, former: &Clusters) -> Self {
        self.edited.clone_from(&former.edited);
        self
    }

    pub(crate) fn shown(&self) -> Vec<ShownCluster> {
        self.all.iter().map(|cluster| self.show(cluster)).collect()
    }

    pub(crate) fn shown_one(&self, name: &str) -> Option<ShownCluster> {
        self.get(name).map(|cluster| self.show(cluster))
    }

    fn show(&self, cluster: &Arc<Cluster>) -> ShownCluster {
        ShownCluster { cluster: cluster.clone(), edits: self.edited.get(cluster.name()).cloned() }
    }

    /// The way from what runs to `wanted`.
    pub(crate) fn plan(&self, wanted: Vec<ClusterConfig>) -> ClusterPlan {
        let order: Vec<Arc<str>> = wanted.iter().map(|config| config.name.clone()).collect();
        let names: HashSet<&str> = order.iter().map(|name| &**name).collect();
        let removed = self.all.iter().map(|cluster| cluster.name().clone()).filter(|name| !names.contains(&**name));
        let removed = removed.collect();
        let is_new = |config: &ClusterConfig| !self.get(&config.name).is_some_and(|known| says_the_same(known, config));
        ClusterPlan { made: wanted.into_iter().filter(is_new).collect(), removed, order }
    }

    /// What runs once `made` does, as the file has it.
    pub(crate) fn after(&self, order: &[Arc<str>], made: &[Arc<Cluster>]) -> Clusters {
        let made: HashMap<&str, &Arc<Cluster>> = made.iter().map(|cluster| (&**cluster.name(), cluster)).collect();
        let found = order.iter().filter_map(|name| made.get(&**name).copied().or_else(|| self.get(name)));
        Clusters::new(found.cloned().collect())
    }
}

/// Whether `wanted` is how `known` was configured. Hosts that names were
/// resolved to are no part of it.
fn says_the_same(known: &Cluster, wanted: &ClusterConfig) -> bool {
    let known = known.config();
    if known.dns.is_none() {
        return known == wanted;
    }
    let hosts_aside = |config: &ClusterConfig| ClusterConfig { hosts: Vec::new(), ..config.clone() };
    known.dns == wanted.dns && hosts_aside(known) == hosts_aside(wanted)
}

/// The hosts of `former` whose names `config` still has and that were not
/// found anew: a name that cannot be resolved just now keeps its hosts.
pub(crate) fn keep_unresolved(config: &mut ClusterConfig, former: &ClusterConfig) {
    let Some(dns) = &config.dns else { return };
    let found: HashSet<&str> = config.hosts.iter().filter_map(|host| host.name.as_deref()).collect();
    let missing = dns.names.iter().filter(|name| !found.contains(&*name.name));
    let kept = missing.flat_map(|name| {
        let of_name = |host: &&HostConfig| {
            host.name.as_deref() == Some(&*name.name)
                && host.address.socket_addr().is_some_and(|address| address.port() == name.port)
        };
        former.hosts.iter().filter(of_name).map(|host| HostConfig {
            weight: name.weight,
            metadata: name.metadata.clone(),
            clear_text: name.clear_text,
            hostname: Some(name.hostname.clone().unwrap_or_else(|| name.name.clone())),
            ..host.clone()
        })
    });
    let kept: Vec<HostConfig> = kept.collect();
    let known: HashSet<_> = config.hosts.iter().map(|host| host.address.clone()).collect();
    config.hosts.extend(kept.into_iter().filter(|host| !known.contains(&host.address)));
}

#[cfg(test)]
mod tests {
    use sidegate_api::{Address, Metrics};
    use sidegate_upstream::HostRegistry;

    use super::*;

    fn config(name: &str, addresses: &[&str]) -> ClusterConfig {
        let hosts = addresses.iter().map(|at| HostConfig::new(Address::parse(at).unwrap())).collect();
        ClusterConfig::new(name, hosts)
    }

    #[test]
    fn only_what_says_something_else_is_made_anew() {
        let hosts = HostRegistry::new(Metrics::new(1));
        let make = |config: ClusterConfig| Arc::new(Cluster::new(config, &hosts).unwrap());
        let running = Clusters::new(vec![
            make(config("a", &["127.0.0.1:1"])),
            make(config("b", &["127.0.0.1:2"])),
            make(config("c", &["127.0.0.1:3"])),
        ]);
        let wanted = vec![
            config("d", &["127.0.0.1:4"]),
            config("b", &["127.0.0.1:2", "127.0.0.1:5"]),
            config("a", &["127.0.0.1:1"]),
        ];
        let plan = running.plan(wanted);
        let names: Vec<_> = plan.made.iter().map(|config| &*config.name).collect();
        assert_eq!((names, plan.removed), (vec!["d", "b"], vec![Arc::from("c")]));
        let made: Vec<_> = plan.made.into_iter().map(make).collect();
        let after = running.after(&plan.order, &made);
        assert!(Arc::ptr_eq(after.get("a").unwrap(), running.get("a").unwrap()));
        assert_eq!(after.all().iter().map(|cluster| &**cluster.name()).collect::<Vec<_>>(), ["d", "b", "a"]);
        assert_eq!(after.get("b").unwrap().members().len(), 2);
        // The host that stays is the same one, with all that is known of it.
        assert!(Arc::ptr_eq(&after.get("b").unwrap().members()[0].host, &running.get("b").unwrap().members()[0].host));
    }
}
