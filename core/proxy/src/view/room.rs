//! Waiting for an upstream connection while the cluster has all it may have.
//!
//! Who waits stands in the cluster's queue, which all workers share, and in
//! the worker's own: a connection that another stream of this worker has done
//! with goes from hand to hand, without a handshake.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use sidegate_net::Peers;
use sidegate_stream::{HostPool, SharedPool, h1};
use sidegate_upstream::{Permit, Place};

use super::ClusterView;

/// Times that a worker serves itself in a row while others wait, too. Giving a
/// connection up costs a handshake elsewhere.
const OWN_TURNS: u32 = 8;

/// When, of how long others have waited, a shared connection takes no streams
/// so that it may run out of them: soon for short ones, later for long ones.
/// One that has a stream without end never does, so it goes on in between.
const GIVING_WAY: [(Duration, Duration); 2] =
    [(Duration::from_millis(50), Duration::from_millis(100)), (Duration::from_millis(400), Duration::from_millis(800))];

/// After so long it is all the same again.
const GIVING_WAY_ROUND: Duration = Duration::from_millis(1600);

/// Streams of this worker that wait for a connection of one cluster.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    /// In the order in which they came.
    list: RefCell<VecDeque<Rc<Waiter>>>,
    turns: Cell<u32>,
}

#[derive(Debug)]
struct Waiter {
    /// Of the host that was chosen: the same one in all views of the cluster.
    pool: Rc<HostPool>,
    given: RefCell<Option<Box<h1::Client>>>,
    waker: RefCell<Option<Waker>>,
}

/// One that waits. What it was given and did not take is passed on when it is
/// dropped.
pub(crate) struct Waiting<'a> {
    cluster: &'a ClusterView,
    position: usize,
    place: Place,
    waiter: Rc<Waiter>,
}

/// What came.
pub(crate) enum Room {
    /// A fresh connection may be made.
    Permit(Permit),
    /// One to the host that was chosen.
    Connection(Box<h1::Client>),
}

impl ClusterView {
    /// Room for a connection to the host at `position` that `pool` will keep: at
    /// once, or to be waited for. All workers are asked to give up what they keep
    /// for later.
    pub(crate) fn room(&self, position: usize, pool: &Rc<HostPool>, peers: &Peers) -> Result<Permit, Waiting<'_>> {
        self.cluster.breakers().connection().map_err(|place| self.wait(place, position, pool, peers))
    }

    /// The same for a connection that streams share, which goes to nobody when a
    /// stream has done with it.
    pub(crate) fn shared_room(&self, peers: &Peers) -> Result<Permit, Place> {
        self.cluster.breakers().connection().inspect_err(|_| {
            self.make_room();
            peers.ask();
        })
    }

    /// A stream has done with a connection that others share: if it has no
    /// other, and somebody waits for one, it is closed.
    #[inline]
    pub(crate) fn left(&self) {
        if self.cluster.breakers().waiting() > 0 {
            self.make_room();
        }
    }

    /// A stream is about to share one of the connections of `host`, which are
    /// returned. Where others wait for one of their own, it is their turn now and
    /// then.
    #[inline]
    pub(crate) fn take_turns<'h>(&self, host: &'h Rc<HostPool>) -> &'h Rc<SharedPool> {
        let pool = host.shared();
        if self.cluster.breakers().waiting() > 0 {
            self.consider_others(pool);
        } else if self.lasting.contended.get().is_some() {
            self.lasting.contended.set(None);
        }
        pool
    }

    #[cold]
    fn consider_others(&self, pool: &Rc<SharedPool>) {
        let now = Instant::now();
        let since = self.lasting.contended.get().unwrap_or(now);
        self.lasting.contended.set(Some(since));
        // Who stands in the cluster's queue for this pool itself.
        let own = u32::from(pool.is_connecting());
        if self.cluster.breakers().waiting() <= own {
            return;
        }
        if let Some(time) = giving_way(now.duration_since(since)) {
            pool.give_way(time);
            self.make_room();
        }
    }

    #[cold]
    fn wait(&self, place: Place, position: usize, pool: &Rc<HostPool>, peers: &Peers) -> Waiting<'_> {
        let waiter = Rc::new(Waiter { pool: pool.clone(), given: RefCell::default(), waker: RefCell::default() });
        self.lasting.waiters.list.borrow_mut().push_back(waiter.clone());
        self.make_room();
        peers.ask();
        Waiting { cluster: self, position, place, waiter }
    }

    /// Closes connections that wait in pools while others wait for one.
    pub(crate) fn make_room(&self) {
        self.cluster.breakers().make_room(|| self.pools.iter().any(|pool| pool.drop_one()));
    }

    /// A stream has done with `connection`, which can carry another request.
    #[inline]
    pub(crate) fn give_back(&self, position: usize, connection: Box<h1::Client>, now: Instant) {
        match &connection.name {
            None => self.give_to(&self.pools[position], position, connection, now),
            Some(name) => {
                let pool = self.pools[position].named(name);
                self.give_to(&pool, position, connection, now);
            }
        }
    }

    #[inline]
    fn give_to(&self, pool: &Rc<HostPool>, position: usize, connection: Box<h1::Client>, now: Instant) {
        match self.cluster.breakers().waiting() {
            0 => {
                // Who looks over a host's pool looks over those within it.
                let listed = &self.pools[position];
                if pool.give(connection, now) && !listed.is_listed() {
                    self.lasting.idle.list(listed);
                }
            }
            waiting => self.pass_on(pool, connection, waiting),
        }
    }

    #[cold]
    fn pass_on(&self, pool: &Rc<HostPool>, connection: Box<h1::Client>, waiting: u32) {
        let mut list = self.lasting.waiters.list.borrow_mut();
        let mut own = list.iter().enumerate().filter(|(_, waiter)| Rc::ptr_eq(&waiter.pool, pool)).map(|(at, _)| at);
        let first = own.next();
        let others = waiting as usize > own.count() + usize::from(first.is_some());
        let turns = self.lasting.waiters.turns.get();
        match first.filter(|_| !others || turns < OWN_TURNS) {
            // One that may carry no more is as good as its permit.
            Some(at) if pool.may_reuse(&connection) => {
                self.lasting.waiters.turns.set(if others { turns + 1 } else { 0 });
                if let Some(waiter) = list.remove(at) {
                    waiter.given.replace(Some(connection));
                    if let Some(waker) = waiter.waker.take() {
                        waker.wake();
                    }
                }
            }
            _ => {
                self.lasting.waiters.turns.set(0);
                // Its permit goes to the first in the cluster's queue.
                drop(list);
                drop(connection);
            }
        }
    }
}

/// For how long a shared connection takes no streams from now on, where others
/// have waited for `waited`.
fn giving_way(waited: Duration) -> Option<Duration> {
    let into = Duration::from_nanos((waited.as_nanos() % GIVING_WAY_ROUND.as_nanos()) as u64);
    GIVING_WAY.into_iter().find(|(from, to)| (*from..*to).contains(&into)).map(|(_, to)| to - into)
}

impl Waiting<'_> {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Room> {
        if let Some(mut connection) = self.waiter.given.take() {
            if connection.is_quiet(cx) {
                return Poll::Ready(Room::Connection(connection));
            }
            // The host has closed it: its permit goes to who is first, which
            // may be us.
            drop(connection);
            self.cluster.lasting.waiters.list.borrow_mut().push_front(self.waiter.clone());
        }
        if let Poll::Ready(permit) = self.place.poll(cx) {
            return Poll::Ready(Room::Permit(permit));
        }
        self.waiter.waker.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.cluster.lasting.waiters.list.borrow_mut().retain(|waiter| !Rc::ptr_eq(waiter, &self.waiter));
        if let Some(connection) = self.waiter.given.take() {
            self.cluster.give_back(self.position, connection, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_have_their_turns_again_and_again_and_not_all_the_time() {
        let at = |millis| giving_way(Duration::from_millis(millis)).map(|time| time.as_millis());
        for round in [0, 1600, 160_000] {
            for (millis, left) in
                [(0, None), (49, None), (50, Some(50)), (99, Some(1)), (100, None), (400, Some(400)), (800, None)]
            {
                assert_eq!(at(round + millis), left, "{round} {millis}");
            }
        }
    }
}
