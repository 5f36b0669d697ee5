//! What workers, the accept thread and the manager share.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;

use sidegate_api::{MetricError, Metrics};

use crate::gate::Clients;
use crate::limits::InForce;
use crate::meters::Meters;
use crate::orders::{Order, Orders};
use crate::pressure::{self, Resource};
use crate::quota::Quota;
use crate::resident::Resident;
use crate::{Action, ConnectionLimits, Gate, Ledger, Machine, OverloadConfig, Thresholds};

/// Bytes that a worker takes from the quota of held bytes at once.
const BYTES_BATCH: u64 = 256 * 1024;
/// Streams that a worker takes at once.
const STREAMS_BATCH: u64 = 64;

/// The process's limits and how things stand. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Overload(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) running: Running,
    /// For the manager and for whoever changes it: workers and the accept thread
    /// read what is made of it, and never wait for this.
    in_force: Mutex<InForce>,
    pub(crate) connection_limits: LiveLimits,
    pub(crate) bytes: Arc<Quota>,
    pub(crate) streams: Arc<Quota>,
    pub(crate) pending: Arc<Quota>,
    pub(crate) connections: AtomicU64,
    /// Descriptors that may still be opened before the limit, as of the last
    /// look and less what was accepted since.
    pub(crate) descriptors_left: AtomicI64,
    pub(crate) clients: Clients,
    pub(crate) orders: Box<[Orders]>,
    /// Whether idle connections may be closed at all.
    pub(crate) closes_idle: AtomicBool,
    pub(crate) resident: Resident,
    /// Resident bytes below which streams may begin to hold much.
    holds_below: Limit,
    pub(crate) meters: Meters,
    /// The manager's thread, once it is there.
    pub(crate) looks: OnceLock<Thread>,
}

impl Shared {
    /// What counts now.
    pub(crate) fn in_force(&self) -> InForce {
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A limit that may change at any time.
#[derive(Debug)]
pub(crate) struct Limit(AtomicU64);

impl Limit {
    fn new(limit: Option<u64>) -> Self {
        Limit(AtomicU64::new(limit.unwrap_or(u64::MAX)))
    }

    fn set(&self, limit: Option<u64>) {
        self.0.store(limit.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn is_off(&self) -> bool {
        self.0.load(Ordering::Relaxed) == u64::MAX
    }

    /// Whether there may be one more than `count`.
    pub(crate) fn is_above(&self, count: u64) -> bool {
        count < self.0.load(Ordering::Relaxed)
    }
}

/// [`ConnectionLimits`] that may change at any time.
#[derive(Debug)]
pub(crate) struct LiveLimits {
    pub(crate) total: Limit,
    pub(crate) per_listener: Limit,
    pub(crate) per_client: Limit,
}

impl LiveLimits {
    fn new(limits: &ConnectionLimits) -> Self {
        let ConnectionLimits { total, per_listener, per_client } = *limits;
        LiveLimits {
            total: Limit::new(total),
            per_listener: Limit::new(per_listener),
            per_client: Limit::new(per_client),
        }
    }

    fn set(&self, limits: &ConnectionLimits) {
        self.total.set(limits.total);
        self.per_listener.set(limits.per_listener);
        self.per_client.set(limits.per_client);
    }
}

/// Bits of what runs for want of memory: read by every stream, written
/// seldom, hence apart.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Running(AtomicU32);

impl Running {
    fn has(&self, action: Action) -> bool {
        self.0.load(Ordering::Relaxed) & action.bit() != 0
    }

    pub(crate) fn set(&self, bits: u32) {
        self.0.store(bits, Ordering::Relaxed);
    }
}

impl Overload {
    /// The limits of `config` on `machine`, for so many workers.
    pub fn new(
        config: &OverloadConfig,
        machine: &Machine,
        workers: usize,
        metrics: &Metrics,
    ) -> Result<Self, MetricError> {
        let in_force = InForce::new(config, machine);
        let meters = Meters::new(metrics, &in_force.limits)?;
        Ok(Self::with(in_force, workers, meters))
    }

    /// No limits, for tests and tools.
    pub fn unlimited(workers: usize) -> Self {
        let in_force = InForce::new(&OverloadConfig::unlimited(), &Machine::default());
        Self::with(in_force, workers, Meters::none())
    }

    pub(crate) fn with(in_force: InForce, workers: usize, meters: Meters) -> Self {
        let limits = &in_force.limits;
        Overload(Arc::new(Shared {
            running: Running::default(),
            bytes: Arc::new(Quota::new(limits.buffered_bytes, workers, BYTES_BATCH)),
            streams: Arc::new(Quota::new(limits.streams, workers, STREAMS_BATCH)),
            pending: Arc::new(Quota::new(limits.pending_filters, workers, STREAMS_BATCH)),
            connections: AtomicU64::new(0),
            descriptors_left: AtomicI64::new(i64::MAX),
            clients: Clients::default(),
            orders: (0..workers).map(|_| Orders::default()).collect(),
            closes_idle: AtomicBool::new(closes_idle(&in_force.actions)),
            resident: Resident::open(),
            holds_below: Limit::new(pressure::threshold(&in_force, Action::ResetStreams, Resource::Memory)),
            connection_limits: LiveLimits::new(&limits.connections),
            meters,
            looks: OnceLock::new(),
            in_force: Mutex::new(in_force),
        }))
    }

    /// The books of a worker: one per worker, on its thread.
    pub fn ledger(&self, worker: usize) -> Ledger {
        Ledger::new(self.clone(), worker)
    }

    /// What decides whether a listener may accept.
    pub fn gate(&self) -> Gate {
        Gate::new(self.clone())
    }

    /// The limits are those of `config` on `machine` from now on. What is there
    /// beyond them stays, and nothing new comes in until it is below them; only
    /// actions take from it.
    pub fn turn_to(&self, config: &OverloadConfig, machine: &Machine) {
        let shared = self.shared();
        let next = InForce::new(config, machine);
        let mut in_force = shared.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        if *in_force == next {
            return;
        }
        *in_force = next;
        let limits = &next.limits;
        shared.bytes.set_limit(limits.buffered_bytes);
        shared.streams.set_limit(limits.streams);
        shared.pending.set_limit(limits.pending_filters);
        shared.connection_limits.set(&limits.connections);
        shared.closes_idle.store(closes_idle(&next.actions), Ordering::Relaxed);
        shared.holds_below.set(pressure::threshold(&next, Action::ResetStreams, Resource::Memory));
        shared.meters.limits(limits);
        drop(in_force);
        for orders in &shared.orders {
            orders.give(Order::Settle);
        }
        // Pressure is another one.
        self.look_now();
    }

    /// The manager looks how things stand without waiting for its time.
    fn look_now(&self) {
        if let Some(thread) = self.shared().looks.get() {
            thread.unpark();
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    /// Whether new streams are refused for want of memory.
    #[inline]
    pub(crate) fn refuses_streams(&self) -> bool {
        self.0.running.has(Action::RefuseStreams)
    }

    /// Whether no stream may begin to hold many bytes, for want of memory, as of
    /// the manager's last look.
    pub(crate) fn refuses_holds(&self) -> bool {
        self.0.running.has(Action::ResetStreams)
    }

    /// The same as of now, for whoever takes much: on a machine that is busy the
    /// manager may look too late. Costs a system call.
    #[cold]
    pub(crate) fn has_memory(&self) -> bool {
        let shared = self.shared();
        let fits = shared.holds_below.is_off() || shared.holds_below.is_above(shared.resident.bytes().unwrap_or(0));
        if !fits {
            self.look_now();
        }
        fits
    }

    /// Whether nothing is accepted, for want of memory.
    pub(crate) fn stops_accepting(&self) -> bool {
        self.0.running.has(Action::StopAccepting)
    }

    /// Whether memory kept for speed is given back.
    pub(crate) fn is_tight(&self) -> bool {
        self.0.running.has(Action::ShrinkBuffers)
    }
}

/// Whether idle connections may be closed at all.
fn closes_idle(actions: &Thresholds) -> bool {
    actions.begin(Action::CloseIdle).is_some()
}
