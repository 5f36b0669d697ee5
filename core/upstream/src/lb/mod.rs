//! The balancing policies.

mod latency;
mod least;
mod maglev;
mod shares;
mod turns;

pub(crate) use latency::{Latency, Measured};
pub(crate) use maglev::Maglev;

use crate::config::ClusterConfig;
use crate::group::Group;
use crate::policy::LbPolicy;
use crate::random::Random;
use least::{Least, Load};
use shares::Shares;
use turns::Turns;

/// One worker's state of balancing one group.
#[derive(Debug)]
pub(crate) enum Picker {
    Random(Shares),
    /// Whose turn it is.
    InTurn(usize),
    InTurnByWeight(Turns),
    /// In the order of the configuration, anew for each request.
    InOrder,
    Least(Least),
    Hashed,
}

impl Picker {
    pub(crate) fn new(config: &ClusterConfig, group: &Group, random: &mut Random) -> Self {
        let members = &group.members;
        let least = |load| Picker::Least(Least::new(load, config.lb_options, members));
        match config.lb {
            LbPolicy::Random => Picker::Random(Shares::new(members)),
            LbPolicy::RoundRobin if shares::are_equal(members) => Picker::InTurn(random.below(members.len())),
            LbPolicy::RoundRobin => Picker::InTurnByWeight(Turns::new(members, random)),
            LbPolicy::FirstOfRequest => Picker::InOrder,
            LbPolicy::LeastRequest => least(Load::Requests),
            LbPolicy::LeastConnection => least(Load::Connections),
            LbPolicy::PeakEwma => least(Load::Latency),
            LbPolicy::Maglev => Picker::Hashed,
        }
    }

    /// The same where hosts were chosen `before` of the group `of`: turns go on
    /// where they were for the hosts that stay, so that clusters that change
    /// often do not send all their first requests to the same hosts.
    pub(crate) fn following(
        before: &Picker,
        of: &Group,
        config: &ClusterConfig,
        group: &Group,
        random: &mut Random,
    ) -> Self {
        match (before, Picker::new(config, group, random)) {
            (Picker::InTurn(next), Picker::InTurn(first)) => {
                Picker::InTurn(turns::next_that_stays(*next, &of.members, &group.members).unwrap_or(first))
            }
            (Picker::InTurnByWeight(before), Picker::InTurnByWeight(turns)) => {
                Picker::InTurnByWeight(turns.following(before, &of.members, &group.members))
            }
            (_, picker) => picker,
        }
    }

    /// Place of the next host in `group`: one that is `usable`.
    #[inline]
    pub(crate) fn pick(
        &mut self,
        group: &Group,
        random: &mut Random,
        hash: Option<u64>,
        usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let members = &group.members;
        match self {
            Picker::Random(shares) => shares.pick(members, random, usable),
            Picker::InTurn(next) => (0..members.len()).find_map(|_| {
                let position = *next;
                *next = if position + 1 < members.len() { position + 1 } else { 0 };
                usable(position).then_some(position)
            }),
            Picker::InTurnByWeight(turns) => turns.next(usable),
            Picker::InOrder => (0..members.len()).find(|&position| usable(position)),
            Picker::Least(least) => least.pick(members, random, usable),
            Picker::Hashed => {
                let hash = hash.unwrap_or_else(|| random.next());
                group.table.as_ref()?.pick(hash, usable)
            }
        }
    }

    /// Whether asking once more gives the same host.
    pub(crate) fn is_consistent(&self) -> bool {
        matches!(self, Picker::Hashed | Picker::InOrder)
    }
}
