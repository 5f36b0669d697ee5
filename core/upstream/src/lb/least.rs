//! The least loaded of a few members drawn at random.

use std::time::Instant;

use super::shares::{Shares, weight};
use crate::cluster::Member;
use crate::policy::LbOptions;
use crate::random::Random;

/// Compares a few members by their load for their weight. The few are drawn by
/// weight, so that without load the shares are those of the weights.
#[derive(Debug)]
pub(crate) struct Least {
    load: Load,
    options: LbOptions,
    shares: Shares,
}

/// What counts as load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// Requests in progress.
    Requests,
    /// Connections.
    Connections,
    /// Latest latencies, times requests in progress and one.
    Latency,
}

/// The least loaded so far.
struct Best {
    position: usize,
    load: f64,
}

impl Least {
    pub(super) fn new(load: Load, options: LbOptions, members: &[Member]) -> Self {
        Least { load, options, shares: Shares::new(members) }
    }

    pub(super) fn pick(
        &mut self,
        members: &[Member],
        random: &mut Random,
        usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let now = if self.load == Load::Latency { Some(Instant::now()) } else { None };
        let choices = self.options.choices.get();
        if members.len() <= choices {
            return self.least_of_all(members, now, random, usable);
        }
        let mut best: Option<Best> = None;
        let mut compared = 0;
        // Members that are out, and one drawn twice, are no choice.
        for _ in 0..choices * 3 {
            let position = self.shares.draw(members, random);
            if !usable(position) || best.as_ref().is_some_and(|best| best.position == position) {
                continue;
            }
            let load = self.load_of(&members[position], now);
            if best.as_ref().is_none_or(|best| load < best.load) {
                best = Some(Best { position, load });
            }
            compared += 1;
            if compared == choices {
                return best.map(|best| best.position);
            }
        }
        // Most are out, or it was bad luck.
        self.least_of_all(members, now, random, usable)
    }

    /// Of equal ones each by its weight.
    fn least_of_all(
        &self,
        members: &[Member],
        now: Option<Instant>,
        random: &mut Random,
        usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut best: Option<Best> = None;
        let mut ties = 0;
        for (position, member) in members.iter().enumerate().filter(|(position, _)| usable(*position)) {
            let load = self.load_of(member, now);
            match &best {
                Some(best) if load > best.load => continue,
                Some(best) if load == best.load => ties += weight(member),
                _ => ties = weight(member),
            }
            if random.below(ties) < weight(member) {
                best = Some(Best { position, load });
            }
        }
        best.map(|best| best.position)
    }

    fn load_of(&self, member: &Member, now: Option<Instant>) -> f64 {
        let host = &member.host;
        let load = match (self.load, now) {
            (Load::Connections, _) => host.active_connections() as f64,
            (Load::Latency, Some(now)) => host.latency.at(now) * (host.active_requests() + 1) as f64,
            (Load::Requests | Load::Latency, _) => {
                let active = host.active_requests() as f64;
                if self.options.active_request_bias == 1.0 {
                    active
                } else {
                    active.powf(self.options.active_request_bias)
                }
            }
        };
        load / weight(member) as f64
    }
}
