//! Consistent hashing by Maglev's table: the same hash gives the same host,
//! and when a host comes or goes few hashes change theirs.

use crate::cluster::Member;
use crate::hash::{mix, stable_hash};

/// Which member each slot belongs to. Depends on the members' addresses and
/// weights alone: every worker, and every process with the same hosts, has the
/// same table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Maglev {
    slots: Box<[u32]>,
    members: usize,
}

/// A member's way through the slots.
struct Filler {
    member: u32,
    next: u32,
    skip: u32,
    /// Slots it may take, in units of the greatest weight.
    credit: u32,
    weight: u32,
}

const FREE: u32 = u32::MAX;

impl Maglev {
    /// A table of `size` slots; `size` is prime.
    pub(crate) fn new(members: &[Member], size: u32) -> Self {
        let mut fillers: Vec<Filler> = (0..).zip(members).map(|(at, member)| Filler::new(at, member, size)).collect();
        // In an order that does not depend on the configured one.
        fillers
            .sort_by(|a, b| members[a.member as usize].host.address().cmp(members[b.member as usize].host.address()));
        let greatest = fillers.iter().map(|filler| filler.weight).max().unwrap_or(1);
        let mut slots = vec![FREE; size as usize].into_boxed_slice();
        let mut free = if fillers.is_empty() { 0 } else { slots.len() };
        'full: loop {
            for filler in &mut fillers {
                if free == 0 {
                    break 'full;
                }
                filler.credit += filler.weight;
                if filler.credit >= greatest {
                    filler.credit -= greatest;
                    filler.fill(&mut slots, size);
                    free -= 1;
                }
            }
            if free == 0 {
                break;
            }
        }
        Maglev { slots, members: members.len() }
    }

    /// The member that `hash` belongs to; if that is not `usable`, another that
    /// is the same each time.
    pub(crate) fn pick(&self, hash: u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        if self.members == 0 {
            return None;
        }
        /// Slots that are looked at: neighbours belong to anybody, so what a
        /// member leaves is spread over all others.
        const LOOKS: u64 = 64;
        let start = mix(hash);
        let size = self.slots.len() as u64;
        let mut looked = (0..LOOKS).map(|step| self.slots[((start % size + step) % size) as usize] as usize);
        if let Some(member) = looked.find(|&member| usable(member)) {
            return Some(member);
        }
        let from = (start % self.members as u64) as usize;
        (from..self.members).chain(0..from).find(|&member| usable(member))
    }
}

impl Filler {
    fn new(member: u32, of: &Member, size: u32) -> Self {
        let hash = stable_hash(of.host.text().as_str().as_bytes());
        Filler {
            member,
            next: (hash % u64::from(size)) as u32,
            skip: (mix(hash) % u64::from(size - 1)) as u32 + 1,
            credit: 0,
            weight: of.weight.get(),
        }
    }

    /// Takes the next free slot on its way; there must be one.
    fn fill(&mut self, slots: &mut [u32], size: u32) {
        loop {
            let slot = self.next as usize;
            self.next = (self.next + self.skip) % size;
            if slots[slot] == FREE {
                slots[slot] = self.member;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
