//! Which sockets stay, which are made and which go: from what listens and what
//! is wanted, without doing any of it.

use std::sync::Arc;

use sidegate_api::Address;
use sidegate_net::{AcceptMode, overlap};

/// One address that this process listens on, or shall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// What listens there.
    pub kind: SocketKind,
    /// Its name, unique among its kind.
    pub name: Arc<str>,
    /// As configured.
    pub address: Address,
    /// As it is: the port is real. What is only wanted has none.
    pub bound: Option<Address>,
    /// One socket for all workers, or one for each.
    pub accept: AcceptMode,
    /// Permission bits of a Unix socket's file.
    pub mode: Option<u32>,
}

/// What listens on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketKind {
    /// Clients' connections.
    Listener,
    /// The admin interface.
    Admin,
    /// A page of metrics.
    Page,
}

/// What becomes of the sockets; numbers are places in the two lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SocketPlan {
    /// Stay as they are.
    pub kept: Vec<Kept>,
    /// Are bound while everything else goes on.
    pub fresh: Vec<usize>,
    /// Are bound once those that hold their addresses are closed.
    pub moved: Vec<Moved>,
    /// Nobody wants them any more, and nobody waits for their address.
    pub removed: Vec<usize>,
}

/// A socket that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Who wants it.
    pub wanted: usize,
    /// Who has it.
    pub running: usize,
}

/// Sockets that take the places of others: each address of either side overlaps
/// with one of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// To be closed first.
    pub closed: Vec<usize>,
    /// To be bound then.
    pub bound: Vec<usize>,
}

impl Socket {
    /// Whether `self`, which runs, is what `wanted` asks for.
    fn serves_as(&self, wanted: &Socket) -> bool {
        self.kind == wanted.kind
            && self.address == wanted.address
            && self.accept == wanted.accept
            && self.mode == wanted.mode
    }

    /// Whether `self`, which runs, keeps `wanted` from being bound.
    fn is_in_the_way_of(&self, wanted: &Socket) -> bool {
        overlap(self.bound.as_ref().unwrap_or(&self.address), &wanted.address)
    }

    /// Whether another name may take it over as it is: whoever asks for any
    /// free port does not ask for this one.
    fn is_anybodys(&self) -> bool {
        self.kind == SocketKind::Listener && self.address.socket_addr().is_none_or(|address| address.port() != 0)
    }
}

impl SocketPlan {
    /// The way from `running` to `wanted`.
    pub fn new(running: &[Socket], wanted: &[Socket]) -> Self {
        let mut plan = SocketPlan::default();
        let mut keeper: Vec<Option<usize>> = vec![None; running.len()];
        let mut served = vec![false; wanted.len()];
        // By name first: a port of 0 is this listener's own. Then by address: a
        // listener that got another name keeps its queue of connections.
        let rules: [fn(&Socket, &Socket) -> bool; 2] =
            [|running, wanted| running.name == wanted.name, |running, _| running.is_anybodys()];
        for rule in rules {
            for (at, want) in wanted.iter().enumerate().filter(|(at, _)| !served[*at]).collect::<Vec<_>>() {
                let found = running.iter().enumerate().position(|(place, socket)| {
                    keeper[place].is_none() && socket.serves_as(want) && rule(socket, want)
                });
                if let Some(place) = found {
                    keeper[place] = Some(at);
                    served[at] = true;
                    plan.kept.push(Kept { wanted: at, running: place });
                }
            }
        }
        plan.kept.sort_by_key(|kept| kept.wanted);
        let mut going: Vec<usize> = (0..running.len()).filter(|place| keeper[*place].is_none()).collect();
        let mut coming: Vec<usize> = (0..wanted.len()).filter(|at| !served[*at]).collect();
        while let Some(first) = coming.first().copied() {
            let group = group_of(first, &mut going, &mut coming, running, wanted);
            match group.closed.is_empty() {
                true => plan.fresh.extend(group.bound),
                false => plan.moved.push(group),
            }
        }
        plan.removed = going;
        plan
    }
}

/// Takes all out of the lists that have to do with `first`, however far.
fn group_of(
    first: usize,
    going: &mut Vec<usize>,
    coming: &mut Vec<usize>,
    running: &[Socket],
    wanted: &[Socket],
) -> Moved {
    let mut group = Moved { closed: Vec::new(), bound: vec![first] };
    coming.retain(|at| *at != first);
    loop {
        let in_the_way = |place: &usize| group.bound.iter().any(|at| running[*place].is_in_the_way_of(&wanted[*at]));
        let closed: Vec<usize> = going.iter().copied().filter(in_the_way).collect();
        going.retain(|place| !closed.contains(place));
        group.closed.extend(&closed);
        let waits = |at: &usize| closed.iter().any(|place| running[*place].is_in_the_way_of(&wanted[*at]));
        let bound: Vec<usize> = coming.iter().copied().filter(waits).collect();
        coming.retain(|at| !bound.contains(at));
        group.bound.extend(&bound);
        if bound.is_empty() {
            return group;
        }
    }
}

#[cfg(test)]
mod tests;
