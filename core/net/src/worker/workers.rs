//! The set of workers, as the control side sees it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use sidegate_api::{MetricError, Metrics, WorkerIndex};
use sidegate_overload::{Gate, Overload};
use sidegate_watch::{Role, ThreadReport, Watched};
use tokio::sync::{mpsc, oneshot};

use super::context::WorkerLoad;
use super::phase::Scope;
use super::published::Answer;
use super::thread::{Errand, Message, WorkerStart, run};
use crate::accept::{Arrival, Arrivals};
use crate::listeners::{Listeners, SharedListener};
use crate::{ListenerId, Peers, Published, RunPhase, Service};

/// A worker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The system has no thread for it.
    #[error("cannot start worker {index}: {source}")]
    Thread {
        /// Its number.
        index: usize,
        /// What the system said.
        source: io::Error,
    },
    /// Its metrics cannot be defined.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

/// Handles of all workers.
#[derive(Debug)]
pub struct Workers<S: Service> {
    links: Vec<Link<S>>,
    threads: Vec<JoinHandle<()>>,
    peers: Peers,
    ended: Vec<oneshot::Receiver<()>>,
    overload: Overload,
    listeners: Listeners,
}

#[derive(Debug)]
struct Link<S: Service> {
    inbox: mpsc::UnboundedSender<Message<S>>,
    arrivals: Arc<Arrivals>,
    load: Arc<WorkerLoad>,
    watched: Watched,
}

impl<S: Service> Clone for Link<S> {
    fn clone(&self) -> Self {
        Link {
            inbox: self.inbox.clone(),
            arrivals: self.arrivals.clone(),
            load: self.load.clone(),
            watched: self.watched,
        }
    }
}

/// Hands connections to workers; used by the accept thread.
#[derive(Debug)]
pub(crate) struct Dispatcher<S: Service> {
    links: Vec<Link<S>>,
    /// Asked for descriptors where too few are left to accept.
    pub(crate) peers: Peers,
    overload: Overload,
    listeners: Listeners,
    next: usize,
}

impl<S: Service> Clone for Dispatcher<S> {
    fn clone(&self) -> Self {
        Dispatcher {
            links: self.links.clone(),
            peers: self.peers.clone(),
            overload: self.overload.clone(),
            listeners: self.listeners.clone(),
            next: 0,
        }
    }
}

/// Takes the waiting connections of workers that hang to others.
#[derive(Debug)]
pub struct Relief<S: Service>(Dispatcher<S>);

impl<S: Service> Workers<S> {
    /// Starts `count` workers with a `first` configuration, within the limits of `overload`.
    /// `after_peak` is called on a worker's thread when memory that it has freed
    /// should be given back.
    pub fn start(
        count: usize,
        metrics: &Metrics,
        first: &Arc<S::Update>,
        overload: &Overload,
        after_peak: fn(),
    ) -> Result<Self, WorkerError> {
        let peers = Peers::new(count);
        let mut workers = Workers {
            links: Vec::new(),
            threads: Vec::new(),
            peers: peers.clone(),
            ended: Vec::new(),
            overload: overload.clone(),
            listeners: Listeners::default(),
        };
        for index in 0..count {
            let (sender, inbox) = mpsc::unbounded_channel();
            let (end, ended) = oneshot::channel();
            let load = Arc::<WorkerLoad>::default();
            let arrivals = Arc::<Arrivals>::default();
            let watched = Watched::new(format!("worker-{index}"), Role::Worker(index));
            let connections =
                metrics.up_down("sidegate_worker_connections_active", &[("worker", &index.to_string())])?;
            let start = WorkerStart {
                index: WorkerIndex(index),
                load: load.clone(),
                arrivals: arrivals.clone(),
                watched,
                connections,
                overload: overload.clone(),
                peers: peers.seen_by(index),
                after_peak,
            };
            let (metrics, first) = (metrics.clone(), first.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{index}"));
            let thread = thread
                .spawn(move || {
                    let _watched = watched.on_this_thread();
                    metrics.enter_worker(index);
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build_local(tokio::runtime::LocalOptions::default());
                    match runtime {
                        Ok(runtime) => {
                            runtime.block_on(run::<S>(start, first, inbox));
                        }
                        Err(error) => tracing::error!(worker = index, %error, "worker cannot start its reactor"),
                    }
                    let _ = end.send(());
                })
                .map_err(|source| WorkerError::Thread { index, source })?;
            workers.links.push(Link { inbox: sender, arrivals, load, watched });
            workers.threads.push(thread);
            workers.ended.push(ended);
        }
        Ok(workers)
    }

    /// Gives every worker a change of the configuration. They take what is
    /// published in this order, each whole between two turns of its tasks.
    pub fn publish(&self, update: Arc<S::Update>) -> Published {
        let answers = self.links.iter().map(|link| {
            let (answer, taken) = oneshot::channel();
            // One that has ended takes nothing and is not waited for.
            let _ = link.inbox.send(Message::Update(update.clone(), answer));
            Answer { worker: link.watched, taken }
        });
        Published::new(answers.collect())
    }

    /// Tells every worker what is wanted of the process now.
    pub fn set_phase(&self, phase: RunPhase) {
        self.tell(Scope::Process, phase);
    }

    /// Tells every worker what is wanted of one listener, whatever its sockets
    /// do. [`RunPhase::Draining`]: its idle connections close, and the others
    /// after their stream. [`RunPhase::Stopping`]: all are cut.
    pub fn set_listener_phase(&self, listener: ListenerId, phase: RunPhase) {
        if let Some(listener) = self.listeners.find(listener) {
            // For connections that reach a worker after this.
            listener.set_phase(phase);
            self.tell(Scope::Listener(listener.id), phase);
        }
    }

    fn tell(&self, scope: Scope, phase: RunPhase) {
        for link in &self.links {
            let _ = link.inbox.send(Message::Phase(scope, phase));
        }
    }

    /// Connections that came by this listener and are not closed, those that
    /// wait for a worker among them.
    pub fn listener_connections(&self, listener: ListenerId) -> usize {
        self.listeners.find(listener).map_or(0, |listener| listener.connections())
    }

    /// Waits until this listener has no connection. More may come unless it
    /// accepts none.
    pub fn listener_idle(&self, listener: ListenerId) -> impl Future<Output = ()> + Send + use<S> {
        let listener = self.listeners.find(listener);
        async move {
            if let Some(listener) = listener {
                listener.idle().await;
            }
        }
    }

    /// What has errands run on workers, from any thread, for as long as they
    /// live; it keeps none of them alive.
    pub fn errands(&self) -> Errands<S> {
        Errands(self.links.iter().map(|link| link.inbox.downgrade()).collect())
    }

    /// Waits until every worker has ended. May be given up and asked again.
    pub async fn ended(&mut self) {
        while let Some(ended) = self.ended.last_mut() {
            // An error means that the thread is gone, which is the same.
            let _ = ended.await;
            self.ended.pop();
        }
        let threads = std::mem::take(&mut self.threads);
        // A thread that has said its end still runs the destructors of its
        // thread-local objects, those of modules among them: a thread of its
        // own waits for it, not the caller's.
        let (joined, wait) = oneshot::channel();
        let joiner = std::thread::Builder::new().name("joiner".into()).spawn(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a worker ended by a panic");
                }
            }
            let _ = joined.send(());
        });
        if joiner.is_ok() {
            let _ = wait.await;
        }
    }

    /// The same, but does not wait for workers that hang. Answers with those
    /// that are left and where they are; none: all have ended.
    pub async fn ended_or_stuck(&mut self) -> Vec<ThreadReport> {
        const LOOK: Duration = Duration::from_millis(50);
        loop {
            if tokio::time::timeout(LOOK, self.ended()).await.is_ok() {
                return Vec::new();
            }
            let left = self.left();
            if !left.is_empty() && left.iter().all(|worker| worker.stuck) {
                return left;
            }
        }
    }

    /// Workers that have not ended, and where they are.
    pub fn left(&self) -> Vec<ThreadReport> {
        let workers = self.links.iter().map(|link| link.watched);
        workers.filter(|worker| !worker.has_ended()).map(Watched::report).collect()
    }

    /// Connections per worker, for the admin page.
    pub fn connections(&self) -> Vec<usize> {
        self.links.iter().map(|link| link.load.connections.load(Ordering::Relaxed)).collect()
    }

    pub(crate) fn dispatcher(&self) -> Dispatcher<S> {
        Dispatcher {
            links: self.links.clone(),
            peers: self.peers.clone(),
            overload: self.overload.clone(),
            listeners: self.listeners.clone(),
            next: 0,
        }
    }

    /// What takes waiting connections away from workers that hang.
    pub fn relief(&self) -> Relief<S> {
        Relief(self.dispatcher())
    }
}

/// Has errands run on workers.
#[derive(Debug)]
pub struct Errands<S: Service>(Vec<mpsc::WeakUnboundedSender<Message<S>>>);

impl<S: Service> Errands<S> {
    /// Has `errand` run on that worker's thread, between polls of its tasks: no
    /// filter is on the stack. If the worker has ended it is dropped.
    pub fn run_on(&self, worker: WorkerIndex, errand: Errand) {
        if let Some(inbox) = self.0.get(worker.0).and_then(mpsc::WeakUnboundedSender::upgrade) {
            let _ = inbox.send(Message::Run(errand));
        }
    }
}

impl<S: Service> Relief<S> {
    /// Hands what waits for workers that hang to those that do not. With all
    /// of them hanging it stays where it is, for the first that goes on.
    pub fn relieve(&mut self) {
        let Relief(dispatcher) = self;
        if dispatcher.links.iter().all(Link::is_out) {
            return;
        }
        for index in 0..dispatcher.links.len() {
            while dispatcher.links[index].is_out()
                && let Some(arrival) = dispatcher.links[index].arrivals.pop()
            {
                let load = &dispatcher.links[index].load;
                load.waiting.fetch_sub(1, Ordering::Relaxed);
                load.connections.fetch_sub(1, Ordering::Relaxed);
                dispatcher.hand_over(arrival);
            }
        }
    }
}

impl<S: Service> Link<S> {
    /// Hangs, or has ended: no connection is served there.
    fn is_out(&self) -> bool {
        self.watched.is_stuck() || self.inbox.is_closed()
    }
}

impl<S: Service> Dispatcher<S> {
    /// What decides whether a listener may accept; all its sockets share it.
    pub(crate) fn gate(&self) -> Gate {
        self.overload.gate()
    }

    /// What counts the listener's connections.
    pub(crate) fn listener(&self, id: ListenerId) -> Arc<SharedListener> {
        self.listeners.listener(id)
    }

    /// Hands a connection to the live worker with the fewest. A worker that
    /// hangs, or has not picked up earlier connections, is passed over while
    /// another keeps up; ties go round.
    pub(crate) fn hand_over(&mut self, arrival: Arrival) {
        let count = self.links.len();
        let best = (0..count).map(|step| (self.next + step) % count).min_by_key(|&index| {
            let link = &self.links[index];
            let behind = link.load.waiting.load(Ordering::Relaxed) > BEHIND;
            (link.is_out(), behind, link.load.connections.load(Ordering::Relaxed))
        });
        let Some(best) = best else { return };
        self.next = (best + 1) % count;
        self.put(best, arrival);
    }

    /// Hands a connection to this worker, unless it hangs.
    pub(crate) fn send_to(&mut self, worker: usize, arrival: Arrival) {
        match self.links[worker].is_out() {
            true => self.hand_over(arrival),
            false => self.put(worker, arrival),
        }
    }

    fn put(&self, worker: usize, arrival: Arrival) {
        let link = &self.links[worker];
        link.load.connections.fetch_add(1, Ordering::Relaxed);
        link.load.waiting.fetch_add(1, Ordering::Relaxed);
        link.arrivals.push(arrival);
        if link.inbox.send(Message::Arrived).is_err() {
            // The worker has ended: the descriptor is dropped, which closes it.
            drop(link.arrivals.pop());
        }
    }
}

/// Connections a worker may have waiting before it counts as behind.
const BEHIND: usize = 128;
