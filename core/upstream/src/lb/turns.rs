//! In turn, spread evenly by weight.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::cluster::Member;
use crate::random::Random;

/// Earliest deadline first: a member of weight w is due every 1/w of a round.
#[derive(Debug)]
pub(crate) struct Turns {
    due: BinaryHeap<Reverse<Turn>>,
    /// Members passed over during one choice; empty between two.
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

    pub(super) fn new(members: &[Member], random: &mut Random) -> Self {
        let due = members.iter().enumerate().map(|(position, member)| {
            let period = Self::ROUND / u64::from(member.weight.get());
            let phase = random.next() % period;
            Reverse(Turn { deadline: phase.into(), position, period })
        });
        Turns { due: due.collect(), passed: Vec::with_capacity(members.len()) }
    }

    pub(super) fn next(&mut self, usable: impl Fn(usize) -> bool) -> Option<usize> {
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
