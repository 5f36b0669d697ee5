//! The choice of a host. One balancer per worker and cluster: no lock, no
//! state shared between workers.

use std::collections::HashMap;
use std::sync::Arc;

use crate::choice::Choice;
use crate::cluster::Cluster;
use crate::group::Group;
use crate::host::Health;
use crate::lb::Picker;
use crate::panic::Usable;
use crate::random::{Random, Seed};
use crate::subset::Target;

/// Chooses hosts of one cluster for one worker.
///
/// Round robin begins at a random place, so that workers (and restarted
/// processes) do not all send their first requests to the same host. A host
/// that is out loses its turn; the others keep their shares of the rest.
///
/// Hosts that are out are not chosen, unless so few are well that all are used
/// ([`PanicThreshold`](crate::PanicThreshold)).
#[derive(Debug)]
pub struct Balancer {
    cluster: Arc<Cluster>,
    random: Random,
    whole: Balanced,
    /// In the order of the cluster's subsets.
    subsets: Vec<Balanced>,
}

/// One worker's state of one group.
#[derive(Debug)]
struct Balanced {
    picker: Picker,
    usable: Usable,
}

impl Balancer {
    /// A balancer for `cluster`. Equal seeds choose equally.
    pub fn new(cluster: Arc<Cluster>, seed: Seed) -> Self {
        let mut random = Random::new(seed);
        let (whole, subsets) = pickers(&cluster, &mut random);
        Balancer { cluster, random, whole, subsets }
    }

    /// The cluster it chooses from.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// A balancer for what the cluster has become: it goes on where this one is,
    /// for the hosts that stay.
    pub fn following(&self, cluster: Arc<Cluster>) -> Self {
        let mut random = self.random.clone();
        let subsets = subset_groups(&self.cluster).zip(&self.subsets);
        let before: HashMap<Option<&str>, (&Group, &Balanced)> = std::iter::once((&self.cluster.whole, &self.whole))
            .chain(subsets)
            .map(|(group, balanced)| (group.label.as_deref(), (group, balanced)))
            .collect();
        let mut balanced = |group: &Group| {
            let picker = match before.get(&group.label.as_deref()) {
                Some((of, before)) => Picker::following(&before.picker, of, cluster.config(), group, &mut random),
                None => Picker::new(cluster.config(), group, &mut random),
            };
            Balanced { picker, usable: Usable::UNKNOWN }
        };
        let whole = balanced(&cluster.whole);
        let subsets = subset_groups(&cluster).map(balanced).collect();
        Balancer { cluster, random, whole, subsets }
    }

    /// Position of the next host in [`Cluster::members`]: one that may be used,
    /// in the subset that is asked for, and not tried yet. `None` if there is
    /// none.
    pub fn pick(&mut self, choice: &Choice<'_>) -> Option<usize> {
        let Balancer { cluster, random, whole, subsets } = self;
        let Some(known) = &cluster.subsets else {
            return whole.pick(cluster, &cluster.whole, |position| position, random, choice);
        };
        match known.target(choice.subset) {
            Target::Nobody => None,
            Target::All => whole.pick(cluster, &cluster.whole, |position| position, random, choice),
            Target::Subset(index) => {
                let (subset, balanced) = (known.subsets.get(index)?, subsets.get_mut(index)?);
                let place = |position: usize| subset.positions.get(position).copied().unwrap_or(usize::MAX);
                let chosen = balanced.pick(cluster, &subset.group, place, random, choice)?;
                Some(place(chosen))
            }
        }
    }

    /// Whether the host at `position` may be used, whoever is chosen next.
    pub fn may_use(&mut self, position: usize) -> bool {
        let member = self.cluster.members().get(position);
        self.whole.usable.update(&self.cluster, &self.cluster.whole);
        member.is_some_and(|member| self.whole.usable.all || member.host.health() == Health::Healthy)
    }
}

fn subset_groups(cluster: &Cluster) -> impl Iterator<Item = &Group> {
    let subsets = cluster.subsets.iter().flat_map(|known| &known.subsets);
    subsets.map(|subset| &subset.group)
}

fn pickers(cluster: &Cluster, random: &mut Random) -> (Balanced, Vec<Balanced>) {
    let mut balanced =
        |group: &Group| Balanced { picker: Picker::new(cluster.config(), group, random), usable: Usable::UNKNOWN };
    let whole = balanced(&cluster.whole);
    (whole, subset_groups(cluster).map(balanced).collect())
}

impl Balanced {
    /// Chooses from `group`; `place` tells the place of its members in the
    /// cluster.
    #[inline]
    fn pick(
        &mut self,
        cluster: &Cluster,
        group: &Group,
        place: impl Fn(usize) -> usize,
        random: &mut Random,
        choice: &Choice<'_>,
    ) -> Option<usize> {
        let Balanced { picker, usable } = self;
        usable.update(cluster, group);
        let all = usable.all;
        if all {
            cluster.shared.panic.choices.inc();
        }
        let usable = |position: usize| {
            group.members.get(position).is_some_and(|member| all || member.host.health() == Health::Healthy)
                && !choice.tried.contains(place(position))
        };
        match &cluster.config.slow_start {
            None => picker.pick(group, random, choice.hash, usable),
            Some(slow_start) => {
                // Reads the clock for each that comes up.
                let share =
                    |at: usize| group.members.get(at).map_or(1.0, |member| slow_start.share(member.host.well_for()));
                pick_gently(picker, group, random, choice.hash, usable, share)
            }
        }
    }
}

/// A host that is not up to its full `share` yet turns down what is above it,
/// and the next choice counts.
fn pick_gently(
    picker: &mut Picker,
    group: &Group,
    random: &mut Random,
    hash: Option<u64>,
    usable: impl Fn(usize) -> bool,
    share: impl Fn(usize) -> f64,
) -> Option<usize> {
    /// If all are new, any will do.
    const DRAWS: usize = 8;
    let mut chosen = picker.pick(group, random, hash, &usable)?;
    if picker.is_consistent() {
        // Somewhere else is no answer to a hash, nor to an order.
        return Some(chosen);
    }
    for _ in 1..DRAWS {
        let share = share(chosen);
        if share >= 1.0 || random.unit() < share {
            break;
        }
        chosen = picker.pick(group, random, hash, &usable)?;
    }
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use sidegate_api::{Address, Metrics};

    use super::*;
    use crate::config::ClusterConfig;
    use crate::{HostConfig, HostRegistry, LbPolicy};

    /// How often each of two hosts is chosen of 10,000 times, with these shares.
    fn chosen(lb: LbPolicy, shares: [f64; 2]) -> [usize; 2] {
        let hosts = [1, 2].map(|port| HostConfig::new(Address::parse(&format!("127.0.0.1:{port}")).unwrap()));
        let config = ClusterConfig { lb, ..ClusterConfig::new("c", hosts.to_vec()) };
        let cluster = Cluster::new(config, &HostRegistry::new(Metrics::new(1))).unwrap();
        let mut random = Random::new(Seed(1));
        let mut picker = Picker::new(cluster.config(), &cluster.whole, &mut random);
        let mut counts = [0; 2];
        for _ in 0..10_000 {
            let at = pick_gently(&mut picker, &cluster.whole, &mut random, None, |_| true, |at| shares[at]);
            counts[at.unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn a_new_host_takes_its_share_of_the_share() {
        for lb in [LbPolicy::Random, LbPolicy::RoundRobin, LbPolicy::LeastRequest, LbPolicy::LeastConnection] {
            for (shares, low, high) in
                [([1.0, 1.0], 4800, 5200), ([1.0, 0.1], 700, 1200), ([1.0, 0.5], 3000, 3700), ([0.1, 0.1], 4600, 5400)]
            {
                let counts = chosen(lb, shares);
                assert!((low..high).contains(&counts[1]), "{lb:?} {shares:?}: {counts:?}");
            }
        }
        let counts = chosen(LbPolicy::Maglev, [1.0, 0.1]);
        assert!(counts[1] > 4500, "consistent hashing takes no notice: {counts:?}");
    }
}
