//! At random, by weight.

use crate::cluster::Member;
use crate::random::Random;

/// Draws members in proportion to their weights.
#[derive(Debug)]
pub(crate) enum Shares {
    Equal,
    /// Sums of the weights up to and including each member.
    ByWeight(Box<[usize]>),
}

pub(super) fn are_equal(members: &[Member]) -> bool {
    members.windows(2).all(|pair| pair[0].weight == pair[1].weight)
}

pub(super) fn weight(member: &Member) -> usize {
    member.weight.get() as usize
}

impl Shares {
    pub(super) fn new(members: &[Member]) -> Self {
        if are_equal(members) {
            return Shares::Equal;
        }
        let mut sum = 0;
        let sums = members.iter().map(|member| {
            sum += weight(member);
            sum
        });
        Shares::ByWeight(sums.collect())
    }

    /// Any member; out of range if there is none.
    #[inline]
    pub(super) fn draw(&self, members: &[Member], random: &mut Random) -> usize {
        match self {
            Shares::Equal => random.below(members.len()),
            Shares::ByWeight(sums) => {
                let point = random.below(sums.last().copied().unwrap_or(0));
                sums.partition_point(|&sum| sum <= point)
            }
        }
    }

    /// Draws until a usable member comes up, which leaves the shares of the
    /// usable ones as they are. After a few misses most are out: then one exact
    /// draw among the usable ones.
    pub(super) fn pick(
        &self,
        members: &[Member],
        random: &mut Random,
        usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        const DRAWS: usize = 4;
        if let Some(position) = (0..DRAWS).map(|_| self.draw(members, random)).find(|&position| usable(position)) {
            return Some(position);
        }
        // Health may change between two passes, so what one pass saw must not
        // be assumed in another: one pass, keeping each with its chance.
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
}
