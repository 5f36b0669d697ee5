//! Idle upstream connections of one worker to one host, each for one stream at
//! a time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use crate::h1;

/// When a pooled connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// After this long without a request; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// After so many requests; `None`: no bound.
    pub max_requests: Option<NonZeroU32>,
}

/// A stack of idle connections: the last one used is used first, so that
/// surplus ones age out.
#[derive(Debug)]
pub struct HostPool {
    limits: Cell<PoolLimits>,
    idle: RefCell<VecDeque<Idle>>,
    closed: Cell<bool>,
    /// It is on somebody's list of pools to look over.
    listed: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    /// Boxed once for its life: it changes hands several times per request.
    connection: Box<h1::Client>,
    since: Instant,
}

impl HostPool {
    /// An empty pool.
    pub fn new(limits: PoolLimits) -> Self {
        HostPool {
            limits: Cell::new(limits),
            idle: RefCell::default(),
            closed: Cell::new(false),
            listed: Cell::new(false),
        }
    }

    /// Applies a new configuration to later connections.
    pub fn set_limits(&self, limits: PoolLimits) {
        self.limits.set(limits);
    }

    /// Whether it was said to be on a list of pools to look over.
    #[inline]
    pub fn is_listed(&self) -> bool {
        self.listed.get()
    }

    /// It is on such a list, or not any more.
    pub fn set_listed(&self, listed: bool) {
        self.listed.set(listed);
    }

    /// Number of idle connections.
    pub fn idle(&self) -> usize {
        self.idle.borrow().len()
    }

    /// The most recently used connection that the host has not closed
    /// meanwhile, and how many were found closed.
    pub fn take(&self, cx: &mut Context<'_>) -> (Option<Box<h1::Client>>, usize) {
        let mut dropped = 0;
        loop {
            let Some(idle) = self.idle.borrow_mut().pop_back() else { return (None, dropped) };
            if idle.connection.is_quiet(cx) {
                return (Some(idle.connection), dropped);
            }
            dropped += 1;
        }
    }

    /// Whether `connection` may carry another request.
    pub fn may_reuse(&self, connection: &h1::Client) -> bool {
        let limits = self.limits.get();
        let spent = limits.max_requests.is_some_and(|max| connection.requests >= max.get());
        !self.closed.get() && !spent && connection.is_reusable()
    }

    /// Keeps `connection` for later, or closes it if its time or count is up
    /// or it is not clean; says which. It is idle from `now` on.
    pub fn give(&self, mut connection: Box<h1::Client>, now: Instant) -> bool {
        if !self.may_reuse(&connection) {
            return false;
        }
        connection.release();
        self.idle.borrow_mut().push_back(Idle { connection, since: now });
        true
    }

    /// Closes the connection that was idle for longest; whether there was one.
    pub fn drop_one(&self) -> bool {
        self.idle.borrow_mut().pop_front().is_some()
    }

    /// Since when the connection is idle that was so for longest.
    pub fn oldest(&self) -> Option<Instant> {
        self.idle.borrow().front().map(|idle| idle.since)
    }

    /// Resets the connection that was idle for longest, which leaves nothing of
    /// it behind: its port is free at once. Whether there was one.
    pub fn reset_one(&self) -> bool {
        let Some(idle) = self.idle.borrow_mut().pop_front() else { return false };
        idle.connection.reset_on_close();
        true
    }

    /// Closes connections that are idle for too long or were closed by the
    /// host, and says how many. Called about once a second.
    pub fn sweep(&self, now: Instant) -> usize {
        let timeout = self.limits.get().idle_timeout;
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        let mut cx = Context::from_waker(Waker::noop());
        idle.retain(|idle| {
            let expired = timeout.is_some_and(|timeout| now.duration_since(idle.since) >= timeout);
            !expired && idle.connection.is_quiet(&mut cx)
        });
        before - idle.len()
    }

    /// Closes all idle connections, says how many, and keeps none from now on.
    pub fn close(&self) -> usize {
        self.closed.set(true);
        self.idle.borrow_mut().drain(..).count()
    }
}
