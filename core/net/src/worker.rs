//! A worker: one thread whose connections nobody else touches.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sidegate_api::{Address, UpDown, WorkerIndex};
use sidegate_overload::{Ledger, Overload, Ticket};
use sidegate_watch::Watched;
use tokio::sync::{Notify, mpsc};

use crate::arrivals::{Arrival, Arrivals};
use crate::{BufferPool, Deadlines, Peers, Socket, orders};

/// Bytes of a pooled read buffer. A request head and a small body, or most
/// replies of a service, fit in one read.
const READ_BUFFER: usize = 16 * 1024;
/// Free read buffers that a worker keeps: 1 MiB.
const KEEP_BUFFERS: usize = 64;

/// What the process wants of its workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunPhase {
    /// Serve.
    Running,
    /// Close what is idle, let streams finish, take no new connections.
    Draining,
    /// End at once.
    Stopping,
}

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
    phase: Cell<RunPhase>,
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

/// A connection that was accepted for this worker.
#[derive(Debug)]
pub struct Accepted {
    /// The socket.
    pub socket: Socket,
    /// Which listener, by its place in the list the workers were started with.
    pub listener: usize,
    /// The client's address.
    pub remote: Address,
    /// Our address.
    pub local: Address,
    /// Counts the connection until it is dropped.
    pub guard: ConnectionGuard,
}

/// Counts one connection of a worker for as long as it lives.
#[derive(Debug)]
pub struct ConnectionGuard {
    worker: Rc<WorkerContext>,
    /// The same for the limits of connections.
    _ticket: Ticket,
}

/// What a worker runs for each connection.
pub trait Service: 'static {
    /// Configuration that is replaced as a whole.
    type Snapshot: Send + Sync + 'static;

    /// Made once per worker, on its thread.
    fn start(worker: Rc<WorkerContext>, snapshot: Arc<Self::Snapshot>) -> Rc<Self>;

    /// Takes a new snapshot; streams in flight stay with theirs.
    fn adopt(self: &Rc<Self>, snapshot: Arc<Self::Snapshot>);

    /// Serves one connection to its end. A panic in it ends this connection
    /// only.
    fn serve(self: &Rc<Self>, connection: Accepted) -> impl Future<Output = ()> + 'static;

    /// Called when the worker starts to drain: close idle upstream
    /// connections.
    fn drain(self: &Rc<Self>);

    /// Closes so many of a hundred idle upstream connections, at least one,
    /// oldest first, and says how many.
    fn close_idle(self: &Rc<Self>, percent: u8) -> usize;
}

pub(crate) enum Message<S: Service> {
    /// Something was put into its arrivals; it may be gone again.
    Arrived,
    Snapshot(Arc<S::Snapshot>),
    Phase(RunPhase),
}

#[derive(Debug, Default)]
struct DateCell {
    /// Of the deadlines' clock, when the time was last asked for.
    tick: u64,
    second: u64,
    text: Vec<u8>,
}

impl WorkerContext {
    fn new(index: WorkerIndex, load: Arc<WorkerLoad>, gauge: Option<UpDown>, ledger: Ledger, peers: Peers) -> Rc<Self> {
        Rc::new(WorkerContext {
            index,
            deadlines: Deadlines::new(),
            buffers: BufferPool::new(READ_BUFFER, KEEP_BUFFERS),
            ledger,
            peers,
            numbered: Cell::new(0),
            phase: Cell::new(RunPhase::Running),
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

    /// What the process wants now. Tasks with a [`crate::Deadline`] are woken
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

    fn guard(self: &Rc<Self>, ticket: Ticket) -> ConnectionGuard {
        self.connections.set(self.connections.get() + 1);
        self.peak.set(self.peak.get().max(self.connections.get()));
        if let Some(gauge) = &self.gauge {
            gauge.inc();
        }
        ConnectionGuard { worker: self.clone(), _ticket: ticket }
    }

    fn set_phase(&self, phase: RunPhase) {
        self.phase.set(phase);
        self.deadlines.wake_all();
        self.idle.notify_one();
    }

    async fn drained(&self) {
        while self.connections.get() > 0 && self.phase.get() != RunPhase::Stopping {
            self.idle.notified().await;
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let worker = &self.worker;
        worker.connections.set(worker.connections.get() - 1);
        worker.load.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(gauge) = &worker.gauge {
            gauge.dec();
        }
        if worker.connections.get() == 0 {
            worker.idle.notify_one();
        }
    }
}

/// What a worker's thread starts with.
pub(crate) struct WorkerStart {
    pub(crate) index: WorkerIndex,
    pub(crate) load: Arc<WorkerLoad>,
    pub(crate) arrivals: Arc<Arrivals>,
    pub(crate) watched: Watched,
    pub(crate) connections: UpDown,
    pub(crate) overload: Overload,
    pub(crate) peers: Peers,
    pub(crate) after_peak: fn(),
}

/// The worker's thread: ends when it was told to drain and its last
/// connection is gone, or when told to stop.
pub(crate) async fn run<S: Service>(
    start: WorkerStart,
    snapshot: Arc<S::Snapshot>,
    mut inbox: mpsc::UnboundedReceiver<Message<S>>,
) {
    let ledger = start.overload.ledger(start.index.0);
    let worker = WorkerContext::new(start.index, start.load, Some(start.connections), ledger, start.peers);
    tokio::task::spawn_local(worker.deadlines.clone().run());
    tokio::task::spawn_local(beat(start.watched));
    let service = S::start(worker.clone(), snapshot);
    tokio::task::spawn_local(orders::watch_peaks(worker.clone(), start.after_peak));
    tokio::task::spawn_local(orders::obey(worker.clone(), Rc::downgrade(&service), start.after_peak));
    loop {
        let message = tokio::select! {
            biased;
            message = inbox.recv() => message,
            () = worker.drained(), if worker.phase() != RunPhase::Running => {
                // What was handed over before the accept thread ended is
                // still served.
                match inbox.try_recv() {
                    Ok(message) => Some(message),
                    Err(_) => return,
                }
            }
        };
        match message {
            Some(Message::Arrived) => {
                let Some(arrival) = start.arrivals.pop() else { continue };
                worker.load.waiting.fetch_sub(1, Ordering::Relaxed);
                let Arrival { fd, listener, remote, listen, ticket } = arrival;
                let socket = Socket::from_fd(fd, &listen);
                match accept(socket, listener, remote, &listen, worker.guard(ticket)) {
                    Ok(accepted) => {
                        tokio::task::spawn_local(service.serve(accepted));
                    }
                    Err(error) => tracing::debug!(%error, "connection was gone before it was served"),
                }
            }
            Some(Message::Snapshot(snapshot)) => service.adopt(snapshot),
            Some(Message::Phase(phase)) => {
                worker.set_phase(phase);
                service.drain();
            }
            None => worker.set_phase(RunPhase::Stopping),
        }
    }
}

/// Shows that the worker's loop comes round, whatever its load.
async fn beat(watched: Watched) {
    const BEAT: Duration = Duration::from_millis(250);
    loop {
        watched.beat();
        tokio::time::sleep(BEAT).await;
    }
}

fn accept(
    socket: std::io::Result<Socket>,
    listener: usize,
    remote: Option<Address>,
    listen: &Address,
    guard: ConnectionGuard,
) -> std::io::Result<Accepted> {
    let socket = socket?;
    let local = match listen {
        // On a wildcard address only the connection knows which one it is.
        Address::Tcp(address) if address.ip().is_unspecified() => socket.local_address()?,
        other => other.clone(),
    };
    Ok(Accepted { socket, listener, remote: remote.unwrap_or_else(|| local.clone()), local, guard })
}
