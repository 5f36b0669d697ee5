//! Circuit breakers: how much of each thing a cluster may use at once.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::queue::{Place, Queue};
use crate::retries::RetryLimit;

/// Limits of a cluster over all workers; `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BreakerConfig {
    /// Connections to its hosts.
    pub max_connections: Option<NonZeroU32>,
    /// Requests that wait for a connection.
    pub max_pending_requests: Option<NonZeroU32>,
    /// Requests in progress.
    pub max_requests: Option<NonZeroU32>,
    /// Requests in progress that are not their stream's first.
    pub retries: RetryLimit,
}

/// What a breaker limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// `max_connections`.
    Connection,
    /// `max_pending_requests`.
    Pending,
    /// `max_requests`.
    Request,
    /// `max_retries`, or `retry_budget`.
    Retry,
}

/// A limit is reached. The client gets 503 with the flag `UO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} of the cluster is reached")]
pub struct Overflow(pub Resource);

/// A cluster's breakers: the limits of its snapshot over counts that outlive
/// it. Without a limit nothing is counted, but for retries: no atomic is
/// touched, and after a change of configuration that brings a limit, what was
/// begun before is not in the count.
#[derive(Debug)]
pub struct Breakers {
    limits: BreakerConfig,
    used: Arc<Used>,
}

/// One unit of what a breaker limits; given back on drop.
#[derive(Debug)]
#[must_use = "dropping it gives it back"]
pub struct Permit {
    _held: Option<Counted>,
}

#[derive(Debug)]
struct Counted {
    used: Arc<Used>,
    resource: Resource,
}

/// How much is in use, over all workers.
#[derive(Debug, Default)]
pub(crate) struct Used {
    counts: [Count; 4],
    pub(crate) queue: Queue,
}

/// A cache line of its own: every worker writes it, once per request, where a
/// limit is set.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Count(AtomicU32);

impl Breakers {
    pub(crate) fn new(limits: BreakerConfig, used: Arc<Used>) -> Self {
        Breakers { limits, used }
    }

    /// One request more.
    #[inline]
    pub fn request(&self) -> Result<Permit, Overflow> {
        self.take(Resource::Request, self.limits.max_requests)
    }

    /// One request more that waits for a connection.
    #[inline]
    pub fn pending(&self) -> Result<Permit, Overflow> {
        self.take(Resource::Pending, self.limits.max_pending_requests)
    }

    /// One connection more, or a place in the queue for one. Who has a place
    /// should have [`make_room`](Self::make_room) called on all workers.
    #[inline]
    pub fn connection(&self) -> Result<Permit, Place> {
        match self.limits.max_connections {
            None => Ok(Permit::unlimited()),
            Some(limit) => Queue::join_unless_free(&self.used, limit.get()),
        }
    }

    /// How many wait for a connection: then none is to be kept for later.
    #[inline]
    pub fn waiting(&self) -> u32 {
        if self.limits.max_connections.is_some() { self.used.queue.len() } else { 0 }
    }

    /// One retry more, of `limit`.
    pub(crate) fn retry(&self, limit: u32) -> Result<Permit, Overflow> {
        self.take_limited(Resource::Retry, limit)
    }

    /// How much of `resource` is counted as in use.
    pub fn in_use(&self, resource: Resource) -> u32 {
        self.used.count(resource).load(Ordering::Relaxed)
    }

    /// The limits.
    pub fn limits(&self) -> &BreakerConfig {
        &self.limits
    }

    #[inline]
    fn take(&self, resource: Resource, limit: Option<NonZeroU32>) -> Result<Permit, Overflow> {
        match limit {
            None => Ok(Permit::unlimited()),
            Some(limit) => self.take_limited(resource, limit.get()),
        }
    }

    fn take_limited(&self, resource: Resource, limit: u32) -> Result<Permit, Overflow> {
        Used::take(&self.used, resource, limit).ok_or(Overflow(resource))
    }

    /// Lets `close_idle` close connections that wait in a pool while others
    /// wait for one: what one worker keeps for later must not keep all others
    /// out. It says whether there was one.
    pub fn make_room(&self, mut close_idle: impl FnMut() -> bool) {
        while self.waiting() > 0 && close_idle() {}
    }
}

impl Permit {
    /// A permit for something that no breaker limits.
    pub const fn unlimited() -> Self {
        Permit { _held: None }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.resource == Resource::Connection {
            self.used.count(Resource::Connection).fetch_sub(1, Ordering::SeqCst);
            if self.used.queue.len() > 0 {
                Queue::serve(&self.used);
            }
        } else {
            self.used.count(self.resource).fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Used {
    /// One of `resource` more, if `limit` allows it.
    fn take(this: &Arc<Self>, resource: Resource, limit: u32) -> Option<Permit> {
        // A compare and swap: adding first and looking then would refuse
        // others for what is given back at once.
        let one_more = |used: u32| (used < limit).then_some(used + 1);
        let order = if resource == Resource::Connection { Ordering::SeqCst } else { Ordering::Relaxed };
        this.count(resource).fetch_update(order, order, one_more).ok()?;
        Some(Permit { _held: Some(Counted { used: this.clone(), resource }) })
    }

    /// One connection more, whoever waits.
    pub(crate) fn take_connection(this: &Arc<Self>, limit: u32) -> Option<Permit> {
        Self::take(this, Resource::Connection, limit)
    }

    fn count(&self, resource: Resource) -> &AtomicU32 {
        &self.counts[resource as usize].0
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Resource::Connection => "max_connections",
            Resource::Pending => "max_pending_requests",
            Resource::Request => "max_requests",
            Resource::Retry => "max_retries",
        })
    }
}
