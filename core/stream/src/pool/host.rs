//! All connections of one worker to one host.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use super::exclusive::ExclusivePool;
use super::names::NamedPools;
use super::{PoolLimits, SharedPool};
use crate::h1;

/// A pool of each kind: a host may be spoken to in several protocols.
#[derive(Debug)]
pub struct HostPool {
    limits: Cell<PoolLimits>,
    exclusive: ExclusivePool,
    /// Made when somebody wants it.
    shared: OnceCell<Rc<SharedPool>>,
    /// Those under names that requests brought; made when there is one.
    named: OnceCell<Box<NamedPools>>,
    /// The name of this one, if it is such a pool.
    name: Option<Arc<str>>,
    closed: Cell<bool>,
    /// Until then the host is spoken to in HTTP/1.1, as it wants it.
    http1_until: Cell<Option<Instant>>,
    /// It is on somebody's list of pools to look over.
    listed: Cell<bool>,
}

impl HostPool {
    /// An empty pool.
    pub fn new(limits: PoolLimits) -> Self {
        HostPool {
            limits: Cell::new(limits),
            exclusive: ExclusivePool::new(limits),
            shared: OnceCell::new(),
            named: OnceCell::new(),
            name: None,
            closed: Cell::new(false),
            http1_until: Cell::new(None),
            listed: Cell::new(false),
        }
    }

    /// The same under a name.
    pub(super) fn under(name: Arc<str>, limits: PoolLimits) -> Self {
        HostPool { name: Some(name), ..HostPool::new(limits) }
    }

    /// Connections under `name` alone. Whoever looks over this pool looks over
    /// those too.
    #[cold]
    pub fn named(&self, name: &str) -> Rc<HostPool> {
        let pool = self.named.get_or_init(Box::default).get(name, self.limits.get());
        if self.closed.get() {
            pool.close();
        }
        pool
    }

    /// The name under which the host is spoken to on these connections; `None`:
    /// always the same.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// Names that are told apart.
    pub fn names(&self) -> usize {
        self.under_names().len()
    }

    fn under_names(&self) -> Vec<Rc<HostPool>> {
        self.named.get().map(|named| named.all()).unwrap_or_default()
    }

    /// Applies a new configuration to later connections.
    pub fn set_limits(&self, limits: PoolLimits) {
        self.limits.set(limits);
        self.exclusive.set_limits(limits);
        if let Some(shared) = self.shared.get() {
            shared.set_limits(limits);
        }
        self.under_names().iter().for_each(|pool| pool.set_limits(limits));
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

    /// Whether the host has said lately that it wants HTTP/1.1.
    #[inline]
    pub fn requires_http1(&self) -> bool {
        self.http1_until.get().is_some() && self.still_requires_http1()
    }

    #[cold]
    fn still_requires_http1(&self) -> bool {
        let requires = self.http1_until.get().is_some_and(|until| Instant::now() < until);
        if !requires {
            self.http1_until.set(None);
        }
        requires
    }

    /// The host has said so, which holds for `time`.
    pub fn require_http1(&self, time: Duration) {
        self.http1_until.set(Some(Instant::now() + time));
    }

    /// Connections that many streams share.
    pub fn shared(&self) -> &Rc<SharedPool> {
        self.shared.get_or_init(|| {
            let shared = SharedPool::new(self.limits.get());
            if self.closed.get() {
                shared.close();
            }
            shared
        })
    }

    /// The most recently used connection for one stream alone that the host has
    /// not closed meanwhile, and how many were found closed.
    #[inline]
    pub fn take(&self, cx: &mut Context<'_>) -> (Option<Box<h1::Client>>, usize) {
        self.exclusive.take(cx)
    }

    /// Whether `connection` may carry another request.
    #[inline]
    pub fn may_reuse(&self, connection: &h1::Client) -> bool {
        self.exclusive.may_reuse(connection)
    }

    /// Keeps `connection` for later, or closes it if its time or count is up
    /// or it is not clean; says which. It is idle from `now` on.
    #[inline]
    pub fn give(&self, connection: Box<h1::Client>, now: Instant) -> bool {
        self.exclusive.give(connection, now)
    }

    /// Number of idle connections.
    pub fn idle(&self) -> usize {
        let own = self.exclusive.idle() + self.shared.get().map_or(0, |shared| shared.idle());
        own + self.under_names().iter().map(|pool| pool.idle()).sum::<usize>()
    }

    /// Whether it has connections to be looked over.
    pub fn is_to_be_swept(&self) -> bool {
        self.exclusive.idle() > 0
            || self.shared.get().is_some_and(|shared| shared.connections() > 0)
            || self.under_names().iter().any(|pool| pool.is_to_be_swept())
    }

    /// Since when the connection is idle that was so for longest.
    pub fn oldest(&self) -> Option<Instant> {
        let shared = self.shared.get().and_then(|shared| shared.oldest());
        let named = self.under_names().into_iter().filter_map(|pool| pool.oldest()).min();
        self.exclusive.oldest().into_iter().chain(shared).chain(named).min()
    }

    /// Closes an idle connection, one that was so for longest; whether there
    /// was one.
    pub fn drop_one(&self) -> bool {
        self.exclusive.drop_one()
            || self.shared.get().is_some_and(|shared| shared.drop_one())
            || self.under_names().iter().any(|pool| pool.drop_one())
    }

    /// Resets an idle connection, which leaves nothing of it behind: its port is
    /// free at once. Whether there was one.
    pub fn reset_one(&self) -> bool {
        self.exclusive.reset_one()
            || self.shared.get().is_some_and(|shared| shared.reset_one())
            || self.under_names().iter().any(|pool| pool.reset_one())
    }

    /// Closes connections that are idle for too long or were closed by the
    /// host. Called about once a second.
    pub fn sweep(&self, now: Instant) {
        self.exclusive.sweep(now);
        if let Some(shared) = self.shared.get() {
            shared.sweep(now);
        }
        self.under_names().iter().for_each(|pool| pool.sweep(now));
        if let Some(named) = self.named.get() {
            named.tidy();
        }
    }

    /// Closes all idle connections, and keeps none from now on.
    pub fn close(&self) {
        self.closed.set(true);
        self.exclusive.close();
        if let Some(shared) = self.shared.get() {
            shared.close();
        }
        self.under_names().iter().for_each(|pool| pool.close());
    }
}
