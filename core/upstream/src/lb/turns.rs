//! In turn, spread evenly by weight.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use sidegate_api::Address;

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

/// The place in `members` of whoever has the next turn of those that `were`
/// there, from the place `next` on, and stay.
pub(super) fn next_that_stays(next: usize, were: &[Member], members: &[Member]) -> Option<usize> {
    let places: HashMap<&Address, usize> =
        members.iter().enumerate().map(|(place, member)| (member.host.address(), place)).collect();
    let in_turn = were.iter().cycle().skip(next).take(were.len());
    in_turn.into_iter().find_map(|member| places.get(member.host.address()).copied())
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

    /// The same for `members` that were others `before`, with the turns of
    /// those that stay and have the weight that they had.
    pub(super) fn following(self, before: &Turns, were: &[Member], members: &[Member]) -> Self {
        let known: HashMap<&Address, Turn> = (before.due.iter())
            .filter_map(|Reverse(turn)| Some((were.get(turn.position)?.host.address(), *turn)))
            .collect();
        // Others join at the present moment.
        let now = before.due.peek().map_or(0, |Reverse(turn)| turn.deadline);
        let due = self.due.into_iter().map(|Reverse(turn)| {
            let known = members.get(turn.position).and_then(|member| known.get(member.host.address()));
            let deadline = match known.filter(|known| known.period == turn.period) {
                Some(known) => known.deadline,
                None => turn.deadline + now,
            };
            Reverse(Turn { deadline, ..turn })
        });
        Turns { due: due.collect(), passed: self.passed }
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
