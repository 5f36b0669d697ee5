//! What code on a worker may use of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use sidegate_api::{UpDown, WorkerIndex};
use sidegate_overload::{Ledger, Overload};
use tokio::sync::Notify;

use super::listener::{ListenerState, WorkerListeners};
use super::phase::Scope;
use crate::listeners::SharedListener;
use crate::{BufferPool, Deadlines, ListenerId, Peers, RunPhase};

/// Bytes of a pooled read buffer. A request head and a small body, or most
/// replies of a service, fit in one read.
const READ_BUFFER: usize = 16 * 1024;
/// Free read buffers that a worker keeps: 1 MiB.
const KEEP_BUFFERS: usize = 64;

/// What code on a worker may use of it.
#[derive(Debug)]
pub struct WorkerContext {
    /// Number of this worker.
    pub index: WorkerIndex,
    /// Deadlines of its connections.
    pub deadlines: Rc<Deadlines>,
    /// Its read buffers.
    pub buffers: BufferPool,
    /// Its part in the limits of the process.
    pub ledger: Ledger,
    /// The other workers.
    pub peers: Peers,
    /// Connections that were numbered so far.
    numbered: Cell<u64>,
    /// What is wanted of the process.
    phase: Cell<RunPhase>,
    pub(super) listeners: WorkerListeners,
    connections: Cell<usize>,
    /// The most there were since memory was last given back.
    peak: Cell<usize>,
    idle: Notify,
    load: Arc<WorkerLoad>,
    /// The same count for people: `sidegate_worker_connections_active`.
    gauge: Option<UpDown>,
    date: RefCell<DateCell>,
}

/// What the accept thread knows of a worker. Padded to a cache line of its
/// own: it is written by two threads per connection, not per request.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct WorkerLoad {
    /// Connections handed to the worker and not yet closed.
    pub(crate) connections: AtomicUsize,
    /// Connections handed over that the worker has not picked up.
    pub(crate) waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct DateCell {
    /// Of the deadlines' clock, when the time was last asked for.
    tick: u64,
    second: u64,
    text: Vec<u8>,
}

impl WorkerContext {
    pub(super) fn new(
        index: WorkerIndex,
        load: Arc<WorkerLoad>,
        gauge: Option<UpDown>,
        ledger: Ledger,
        peers: Peers,
    ) -> Rc<Self> {
        Rc::new(WorkerContext {
            index,
            deadlines: Deadlines::new(),
            buffers: BufferPool::new(READ_BUFFER, KEEP_BUFFERS),
            ledger,
            peers,
            numbered: Cell::new(0),
            phase: Cell::new(RunPhase::Running),
            listeners: WorkerListeners::default(),
            connections: Cell::new(0),
            peak: Cell::new(0),
            idle: Notify::new(),
            load,
            gauge,
            date: RefCell::default(),
        })
    }

    /// A context outside any worker thread, for tests and tools.
    pub fn detached(index: WorkerIndex) -> Rc<Self> {
        Self::new(index, Arc::default(), None, Overload::unlimited(1).ledger(0), Peers::new(0))
    }

    /// What the process wants now; a listener may be further. Tasks with a [`crate::Deadline`] are woken
    /// when it changes.
    pub fn phase(&self) -> RunPhase {
        self.phase.get()
    }

    /// A number for a connection, to a client or to a host. Each worker has its
    /// own ones, so that none is used twice in the process and nobody shares a
    /// counter.
    pub fn next_connection_id(&self) -> u64 {
        let turn = self.numbered.get();
        self.numbered.set(turn + 1);
        let workers = self.peers.len().max(1) as u64;
        turn * workers + self.index.0 as u64 + 1
    }

    /// Connections of this worker.
    pub fn connections(&self) -> usize {
        self.connections.get()
    }

    /// Runs `use_date` with the current `Date` value; formatted by `format`
    /// once per second. The time is asked for once per tick of the deadlines,
    /// which costs a response nothing: the second may begin some ticks late.
    pub fn with_date<R>(&self, format: impl FnOnce(SystemTime, &mut Vec<u8>), use_date: impl FnOnce(&[u8]) -> R) -> R {
        let tick = self.deadlines.now_ms();
        let mut date = self.date.borrow_mut();
        if date.tick != tick || date.text.is_empty() {
            date.tick = tick;
            let now = SystemTime::now();
            let second = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
            if date.second != second || date.text.is_empty() {
                date.second = second;
                date.text.clear();
                format(now, &mut date.text);
            }
        }
        use_date(&date.text)
    }

    /// Whether most of the connections or held bytes that there were have gone
    /// since this last said so.
    pub(crate) fn fell_from_peak(&self) -> bool {
        /// Fewer connections hold too little to be worth it.
        const WORTH: usize = 32;
        let now = self.connections();
        let fell = self.peak.get() >= WORTH && now < self.peak.get() / 2;
        if fell {
            self.peak.set(now);
        }
        self.ledger.fell_from_peak() || fell
    }

    /// The listener for a new connection.
    pub(super) fn listener(&self, shared: &SharedListener) -> Rc<ListenerState> {
        self.listeners.listener(shared, self.phase())
    }

    /// The same outside any worker thread, for tests and tools.
    pub fn detached_listener(&self, id: ListenerId) -> Rc<ListenerState> {
        self.listener(&SharedListener::new(id))
    }

    pub(super) fn opened(&self) {
        self.connections.set(self.connections.get() + 1);
        self.peak.set(self.peak.get().max(self.connections.get()));
        if let Some(gauge) = &self.gauge {
            gauge.inc();
        }
    }

    pub(super) fn closed(&self) {
        self.connections.set(self.connections.get() - 1);
        self.load.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(gauge) = &self.gauge {
            gauge.dec();
        }
        if self.connections.get() == 0 {
            self.idle.notify_one();
        }
    }

    /// A connection was picked up.
    pub(super) fn picked_up(&self) {
        self.load.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn set_phase(&self, scope: Scope, phase: RunPhase) {
        match scope {
            Scope::Process => {
                self.phase.set(phase);
                self.listeners.set_process_phase(phase);
                self.idle.notify_one();
            }
            Scope::Listener(id) => self.listeners.set_phase_of(id, phase, self.phase()),
        }
        self.deadlines.wake_all();
    }

    /// Waits until no connection is left, or none is wanted any more.
    pub(super) async fn drained(&self) {
        while self.connections.get() > 0 && self.phase.get() != RunPhase::Stopping {
            self.idle.notified().await;
        }
    }
}
