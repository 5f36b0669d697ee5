//! The choice of a host. One balancer per worker and cluster: no lock, no
//! state shared between workers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::cluster::{Cluster, Member, Weights};
use crate::config::LbPolicy;
use crate::host::Health;
use crate::random::{Random, Seed};
use crate::tried::TriedHosts;

/// Chooses hosts of one cluster for one worker.
///
/// Round robin begins at a random place, so that workers (and restarted
/// processes) do not all send their first requests to the same host. A host
/// that is out loses its turn; the others keep their shares of the rest.
#[derive(Debug)]
pub struct Balancer {
    cluster: Arc<Cluster>,
    random: Random,
    policy: Policy,
}

#[derive(Debug)]
enum Policy {
    Random,
    /// Sums of the weights up to and including each host.
    RandomByWeight(Box<[usize]>),
    /// Whose turn it is.
    InTurn(usize),
    InTurnByWeight(Turns),
}

impl Balancer {
    /// A balancer for `cluster`. Equal seeds choose equally.
    pub fn new(cluster: Arc<Cluster>, seed: Seed) -> Self {
        let mut random = Random::new(seed);
        let policy = Policy::new(&cluster, &mut random);
        Balancer { cluster, random, policy }
    }

    /// The cluster it chooses from.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Chooses from `cluster` from now on; does nothing if it does already. To
    /// be called when a new snapshot arrives.
    pub fn set_cluster(&mut self, cluster: &Arc<Cluster>) {
        if !Arc::ptr_eq(&self.cluster, cluster) {
            self.cluster = cluster.clone();
            self.policy = Policy::new(cluster, &mut self.random);
        }
    }

    /// Position of the next host in [`Cluster::members`]: one that is healthy
    /// and not among `tried`. `None` if there is none.
    pub fn pick(&mut self, tried: &TriedHosts) -> Option<usize> {
        let members = self.cluster.members();
        let usable = |position: usize| {
            members.get(position).is_some_and(|member| member.host.health() == Health::Healthy)
                && !tried.contains(position)
        };
        match &mut self.policy {
            Policy::Random => {
                let draw = |random: &mut Random| random.below(members.len());
                pick_at_random(&mut self.random, draw, members, |_| 1, usable)
            }
            Policy::RandomByWeight(sums) => {
                let total = sums.last().copied().unwrap_or(0);
                let draw = |random: &mut Random| {
                    let point = random.below(total);
                    sums.partition_point(|&sum| sum <= point)
                };
                pick_at_random(&mut self.random, draw, members, weight, usable)
            }
            Policy::InTurn(next) => (0..members.len()).find_map(|_| {
                let position = *next;
                *next = if position + 1 < members.len() { position + 1 } else { 0 };
                usable(position).then_some(position)
            }),
            Policy::InTurnByWeight(turns) => turns.next(usable),
        }
    }
}

impl Policy {
    fn new(cluster: &Cluster, random: &mut Random) -> Self {
        let members = cluster.members();
        match (cluster.config().lb, cluster.weights()) {
            (LbPolicy::Random, Weights::Equal) => Policy::Random,
            (LbPolicy::Random, Weights::Differ) => {
                let mut sum = 0;
                let sums = members.iter().map(|member| {
                    sum += weight(member);
                    sum
                });
                Policy::RandomByWeight(sums.collect())
            }
            (LbPolicy::RoundRobin, Weights::Equal) => Policy::InTurn(random.below(members.len())),
            (LbPolicy::RoundRobin, Weights::Differ) => Policy::InTurnByWeight(Turns::new(members, random)),
        }
    }
}

fn weight(member: &Member) -> usize {
    member.weight.get() as usize
}

/// Draws until a usable host comes up, which leaves the shares of the usable
/// ones as they are. After a few misses most hosts are out: then one exact
/// draw among the usable ones.
fn pick_at_random(
    random: &mut Random,
    draw: impl Fn(&mut Random) -> usize,
    members: &[Member],
    weight: impl Fn(&Member) -> usize,
    usable: impl Fn(usize) -> bool,
) -> Option<usize> {
    const DRAWS: usize = 4;
    if let Some(position) = (0..DRAWS).map(|_| draw(random)).find(|&position| usable(position)) {
        return Some(position);
    }
    // Health may change between two passes, so what one pass saw must not be
    // assumed in another: one pass, keeping each host with its chance.
    let mut total = 0;
    let mut chosen = None;
    for (position, member) in members.iter().enumerate().filter(|(position, _)| usable(*position)) {
        total += weight(member);
        if random.below(total) < weight(member) {
            chosen = Some(position);
        }
    }
    chosen
}

/// Earliest deadline first: a host of weight w is due every 1/w of a round.
#[derive(Debug)]
struct Turns {
    due: BinaryHeap<Reverse<Turn>>,
    /// Hosts passed over during one choice; empty between two.
    passed: Vec<Turn>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    /// Fixed point; too wide to overflow in the life of a process.
    deadline: u128,
    position: usize,
    period: u64,
}

impl Turns {
    const ROUND: u64 = 1 << 40;

    fn new(members: &[Member], random: &mut Random) -> Self {
        let due = members.iter().enumerate().map(|(position, member)| {
            let period = Self::ROUND / u64::from(member.weight.get());
            let phase = random.next() % period;
            Reverse(Turn { deadline: phase.into(), position, period })
        });
        Turns { due: due.collect(), passed: Vec::with_capacity(members.len()) }
    }

    fn next(&mut self, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let mut chosen = None;
        while let Some(Reverse(turn)) = self.due.pop() {
            self.passed.push(turn);
            if usable(turn.position) {
                chosen = Some(turn);
                break;
            }
        }
        for mut turn in self.passed.drain(..) {
            // Whoever was passed over waits for its next turn from now on:
            // turns saved up would come back as a burst.
            if let Some(chosen) = chosen {
                turn.deadline = turn.deadline.max(chosen.deadline) + u128::from(turn.period);
            }
            self.due.push(Reverse(turn));
        }
        chosen.map(|turn| turn.position)
    }
}
