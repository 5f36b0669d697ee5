//! Which idle connections of a worker close first, found only when that is
//! asked: a connection that goes idle pays one store.

use std::cell::{Cell, RefCell};

use crate::ListenerId;

/// When a connection went idle, in an order without ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct IdleTurn(u64);

/// Idle connections of one worker.
///
/// A round has two calls of all connections: with the first they say since when
/// they are idle, with the second the oldest of them close.
#[derive(Debug, Default)]
pub struct IdleOrder {
    next: Cell<u64>,
    call: Cell<u64>,
    wanted: Cell<Wanted>,
    /// Whose connections the round is about; none is all.
    listener: Cell<Option<ListenerId>>,
    seen: RefCell<Vec<IdleTurn>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Wanted {
    #[default]
    Nothing,
    Report,
    Close(IdleTurn),
    Slim,
}

/// An idle connection's part in calls.
#[derive(Debug)]
pub struct IdleVisit {
    turn: IdleTurn,
    listener: ListenerId,
    /// The last call that it heard.
    heard: u64,
}

/// What an idle connection has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleTask {
    /// Close.
    Close,
    /// Give back the memory that it keeps for its next request.
    Slim,
}

impl IdleOrder {
    /// A connection of a listener goes idle.
    #[inline]
    pub fn enter(&self, listener: ListenerId) -> IdleVisit {
        let next = self.next.get();
        self.next.set(next + 1);
        IdleVisit { turn: IdleTurn(next), listener, heard: self.call.get() }
    }

    /// What is asked of an idle connection that was woken.
    #[inline]
    pub fn heed(&self, visit: &mut IdleVisit) -> Option<IdleTask> {
        if visit.heard == self.call.get() {
            return None;
        }
        self.answer(visit)
    }

    #[cold]
    fn answer(&self, visit: &mut IdleVisit) -> Option<IdleTask> {
        visit.heard = self.call.get();
        let is_meant = self.listener.get().is_none_or(|listener| listener == visit.listener);
        match self.wanted.get() {
            Wanted::Report | Wanted::Close(_) if !is_meant => None,
            Wanted::Nothing => None,
            Wanted::Report => {
                self.seen.borrow_mut().push(visit.turn);
                None
            }
            Wanted::Close(last) => (visit.turn <= last).then_some(IdleTask::Close),
            Wanted::Slim => Some(IdleTask::Slim),
        }
    }

    /// First call of a round: all idle connections, or those of one listener,
    /// say since when they are, once they are woken.
    pub fn call_for_reports(&self, listener: Option<ListenerId>) {
        self.listener.set(listener);
        self.seen.borrow_mut().clear();
        self.call_for(Wanted::Report);
    }

    /// Second call: the oldest close, so many of those that reported in a
    /// hundred, at least one. How many; none need to be woken for 0.
    pub fn call_to_close(&self, percent: u8) -> usize {
        let mut seen = self.seen.take();
        seen.sort_unstable();
        let count = (seen.len() * usize::from(percent)).div_ceil(100);
        match count.checked_sub(1).and_then(|last| seen.get(last)) {
            Some(last) => self.call_for(Wanted::Close(*last)),
            None => self.call_for(Wanted::Nothing),
        }
        count
    }

    /// All idle connections give back what they keep, once they are woken.
    pub fn call_to_slim(&self) {
        self.call_for(Wanted::Slim);
    }

    fn call_for(&self, wanted: Wanted) {
        self.wanted.set(wanted);
        self.call.set(self.call.get() + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ListenerId = ListenerId(0);
    const B: ListenerId = ListenerId(1);

    #[test]
    fn the_oldest_close_and_later_ones_stay() {
        let idle = IdleOrder::default();
        let mut visits: Vec<IdleVisit> = (0..10).map(|_| idle.enter(A)).collect();
        assert!(visits.iter_mut().all(|visit| idle.heed(visit).is_none()));
        // One goes and comes again.
        visits[0] = idle.enter(A);
        idle.call_for_reports(None);
        assert!(visits.iter_mut().all(|visit| idle.heed(visit).is_none()));
        let mut late = idle.enter(A);
        assert_eq!(idle.call_to_close(20), 2);
        let closing: Vec<bool> = visits.iter_mut().map(|visit| idle.heed(visit).is_some()).collect();
        assert_eq!(closing, [false, true, true, false, false, false, false, false, false, false]);
        assert_eq!(idle.heed(&mut late), None);
        idle.call_to_slim();
        assert_eq!(idle.heed(&mut late), Some(IdleTask::Slim));
        assert_eq!(idle.heed(&mut late), None);
    }

    #[test]
    fn a_few_lose_one_and_none_lose_none() {
        let idle = IdleOrder::default();
        idle.call_for_reports(None);
        assert_eq!(idle.call_to_close(10), 0);
        let mut only = idle.enter(A);
        idle.call_for_reports(None);
        assert_eq!(idle.heed(&mut only), None);
        assert_eq!(idle.call_to_close(10), 1);
        assert_eq!(idle.heed(&mut only), Some(IdleTask::Close));
    }
    #[test]
    fn a_round_may_be_about_one_listener() {
        let idle = IdleOrder::default();
        let mut visits = [idle.enter(A), idle.enter(B), idle.enter(B)];
        idle.call_for_reports(Some(B));
        assert!(visits.iter_mut().all(|visit| idle.heed(visit).is_none()));
        assert_eq!(idle.call_to_close(10), 1);
        let closing = visits.each_mut().map(|visit| idle.heed(visit).is_some());
        assert_eq!(closing, [false, true, false]);
    }
}
