//! Idle upstream connections of one worker to one host, each for one stream at
//! a time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Waker};
use std::time::Instant;

use super::PoolLimits;
use crate::h1;

/// A stack of idle connections: the last one used is used first, so that
/// surplus ones age out.
#[derive(Debug)]
pub(super) struct ExclusivePool {
    limits: Cell<PoolLimits>,
    idle: RefCell<VecDeque<Idle>>,
    closed: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    /// Boxed once for its life: it changes hands several times per request.
    connection: Box<h1::Client>,
    since: Instant,
}

impl ExclusivePool {
    /// An empty pool.
    pub(super) fn new(limits: PoolLimits) -> Self {
        ExclusivePool { limits: Cell::new(limits), idle: RefCell::default(), closed: Cell::new(false) }
    }

    /// Applies a new configuration to later connections.
    pub(super) fn set_limits(&self, limits: PoolLimits) {
        self.limits.set(limits);
    }

    /// Number of idle connections.
    pub(super) fn idle(&self) -> usize {
        self.idle.borrow().len()
    }

    /// The most recently used connection that the host has not closed
    /// meanwhile, and how many were found closed.
    pub(super) fn take(&self, cx: &mut Context<'_>) -> (Option<Box<h1::Client>>, usize) {
        let mut dropped = 0;
        loop {
            let Some(mut idle) = self.idle.borrow_mut().pop_back() else { return (None, dropped) };
            if idle.connection.is_quiet(cx) {
                return (Some(idle.connection), dropped);
            }
            dropped += 1;
        }
    }

    /// Whether `connection` may carry another request.
    pub(super) fn may_reuse(&self, connection: &h1::Client) -> bool {
        let limits = self.limits.get();
        let spent = limits.max_requests.is_some_and(|max| connection.requests >= max.get());
        !self.closed.get() && !spent && connection.is_reusable()
    }

    /// Keeps `connection` for later, or closes it if its time or count is up
    /// or it is not clean; says which. It is idle from `now` on.
    pub(super) fn give(&self, mut connection: Box<h1::Client>, now: Instant) -> bool {
        if !self.may_reuse(&connection) {
            return false;
        }
        connection.release();
        self.idle.borrow_mut().push_back(Idle { connection, since: now });
        true
    }

    /// Closes the connection that was idle for longest; whether there was one.
    pub(super) fn drop_one(&self) -> bool {
        self.idle.borrow_mut().pop_front().is_some()
    }

    /// Since when the connection is idle that was so for longest.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.idle.borrow().front().map(|idle| idle.since)
    }

    /// Resets the connection that was idle for longest, which leaves nothing of
    /// it behind: its port is free at once. Whether there was one.
    pub(super) fn reset_one(&self) -> bool {
        let Some(mut idle) = self.idle.borrow_mut().pop_front() else { return false };
        idle.connection.reset_on_close();
        true
    }

    /// Closes connections that are idle for too long or were closed by the
    /// host, and says how many. Called about once a second.
    pub(super) fn sweep(&self, now: Instant) -> usize {
        let timeout = self.limits.get().idle_timeout;
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        let mut cx = Context::from_waker(Waker::noop());
        idle.retain_mut(|idle| {
            let expired = timeout.is_some_and(|timeout| now.duration_since(idle.since) >= timeout);
            !expired && idle.connection.is_quiet(&mut cx)
        });
        before - idle.len()
    }

    /// Closes all idle connections, says how many, and keeps none from now on.
    pub(super) fn close(&self) -> usize {
        self.closed.set(true);
        self.idle.borrow_mut().drain(..).count()
    }
}
