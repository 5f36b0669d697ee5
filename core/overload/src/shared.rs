//! What workers, the accept thread and the manager share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use sidegate_api::{MetricError, Metrics};

use crate::gate::Clients;
use crate::meters::Meters;
use crate::orders::Orders;
use crate::quota::Quota;
use crate::{Action, Gate, Ledger, Machine, OverloadConfig, ResolvedLimits};

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
    pub(crate) limits: ResolvedLimits,
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
    pub(crate) meters: Meters,
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
        let limits = ResolvedLimits::new(config, machine);
        let meters = Meters::new(metrics, &limits)?;
        Ok(Self::with(limits, workers, meters))
    }

    /// No limits, for tests and tools.
    pub fn unlimited(workers: usize) -> Self {
        let limits = ResolvedLimits::new(&OverloadConfig::unlimited(), &Machine::default());
        Self::with(limits, workers, Meters::none())
    }

    pub(crate) fn with(limits: ResolvedLimits, workers: usize, meters: Meters) -> Self {
        Overload(Arc::new(Shared {
            running: Running::default(),
            bytes: Arc::new(Quota::new(limits.buffered_bytes, workers, BYTES_BATCH)),
            streams: Arc::new(Quota::new(limits.streams, workers, STREAMS_BATCH)),
            pending: Arc::new(Quota::new(limits.pending_filters, workers, STREAMS_BATCH)),
            connections: AtomicU64::new(0),
            descriptors_left: AtomicI64::new(i64::MAX),
            clients: Clients::default(),
            orders: (0..workers).map(|_| Orders::default()).collect(),
            closes_idle: AtomicBool::new(true),
            meters,
            limits,
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

    /// What the limits came to.
    pub fn limits(&self) -> &ResolvedLimits {
        &self.0.limits
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    /// Whether new streams are refused for want of memory.
    #[inline]
    pub(crate) fn refuses_streams(&self) -> bool {
        self.0.running.has(Action::RefuseStreams)
    }

    /// Whether no stream may begin to hold many bytes, for want of memory.
    pub(crate) fn refuses_holds(&self) -> bool {
        self.0.running.has(Action::ResetStreams)
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
