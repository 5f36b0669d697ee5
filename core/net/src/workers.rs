//! The set of workers, as the control side sees it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use sidegate_api::{Address, MetricError, Metrics, WorkerIndex};
use tokio::sync::{mpsc, oneshot};

use crate::worker::{Message, WorkerLoad, WorkerStart, run};
use crate::{RunPhase, Service};

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
    ended: Vec<oneshot::Receiver<()>>,
}

#[derive(Debug)]
struct Link<S: Service> {
    inbox: mpsc::UnboundedSender<Message<S>>,
    load: Arc<WorkerLoad>,
}

impl<S: Service> Clone for Link<S> {
    fn clone(&self) -> Self {
        Link { inbox: self.inbox.clone(), load: self.load.clone() }
    }
}

/// Hands connections to workers; used by the accept thread.
#[derive(Debug)]
pub(crate) struct Dispatcher<S: Service> {
    links: Vec<Link<S>>,
    next: usize,
}

impl<S: Service> Workers<S> {
    /// Starts `count` workers with `snapshot`. `after_peak` is called on a
    /// worker's thread when most of its connections have gone, so that their
    /// memory can be given back.
    pub fn start(
        count: usize,
        metrics: &Metrics,
        snapshot: &Arc<S::Snapshot>,
        after_peak: fn(),
    ) -> Result<Self, WorkerError> {
        let mut workers = Workers { links: Vec::new(), threads: Vec::new(), ended: Vec::new() };
        for index in 0..count {
            let (sender, inbox) = mpsc::unbounded_channel();
            let (end, ended) = oneshot::channel();
            let load = Arc::<WorkerLoad>::default();
            let connections =
                metrics.up_down("sidegate_worker_connections_active", &[("worker", &index.to_string())])?;
            let start = WorkerStart { index: WorkerIndex(index), load: load.clone(), connections, after_peak };
            let (metrics, snapshot) = (metrics.clone(), snapshot.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{index}"));
            let thread = thread
                .spawn(move || {
                    metrics.enter_worker(index);
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build_local(tokio::runtime::LocalOptions::default());
                    match runtime {
                        Ok(runtime) => {
                            runtime.block_on(run::<S>(start, snapshot, inbox));
                        }
                        Err(error) => tracing::error!(worker = index, %error, "worker cannot start its reactor"),
                    }
                    let _ = end.send(());
                })
                .map_err(|source| WorkerError::Thread { index, source })?;
            workers.links.push(Link { inbox: sender, load });
            workers.threads.push(thread);
            workers.ended.push(ended);
        }
        Ok(workers)
    }

    /// Gives every worker a new snapshot.
    pub fn publish(&self, snapshot: &Arc<S::Snapshot>) {
        for link in &self.links {
            let _ = link.inbox.send(Message::Snapshot(snapshot.clone()));
        }
    }

    /// Tells every worker what is wanted now.
    pub fn set_phase(&self, phase: RunPhase) {
        for link in &self.links {
            let _ = link.inbox.send(Message::Phase(phase));
        }
    }

    /// Waits until every worker has ended.
    pub async fn ended(&mut self) {
        for ended in self.ended.drain(..) {
            // An error means that the thread is gone, which is the same.
            let _ = ended.await;
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker ended by a panic");
            }
        }
    }

    /// Connections per worker, for the admin page.
    pub fn connections(&self) -> Vec<usize> {
        self.links.iter().map(|link| link.load.connections.load(Ordering::Relaxed)).collect()
    }

    pub(crate) fn dispatcher(&self) -> Dispatcher<S> {
        Dispatcher { links: self.links.clone(), next: 0 }
    }
}

impl<S: Service> Dispatcher<S> {
    /// Hands a connection to the live worker with the fewest. A worker that
    /// has not picked up earlier connections is passed over while another
    /// keeps up; ties go round.
    pub(crate) fn hand_over(&mut self, fd: OwnedFd, listener: usize, remote: Option<Address>, listen: &Arc<Address>) {
        let count = self.links.len();
        let best = (0..count).map(|step| (self.next + step) % count).min_by_key(|&index| {
            let load = &self.links[index].load;
            let stuck = load.waiting.load(Ordering::Relaxed) > STUCK;
            (stuck || self.links[index].inbox.is_closed(), load.connections.load(Ordering::Relaxed))
        });
        let Some(best) = best else { return };
        self.next = (best + 1) % count;
        self.send_to(best, fd, listener, remote, listen);
    }

    /// Hands a connection to this worker.
    pub(crate) fn send_to(
        &self,
        worker: usize,
        fd: OwnedFd,
        listener: usize,
        remote: Option<Address>,
        listen: &Arc<Address>,
    ) {
        let link = &self.links[worker];
        link.load.connections.fetch_add(1, Ordering::Relaxed);
        link.load.waiting.fetch_add(1, Ordering::Relaxed);
        // A worker that has ended drops the descriptor, which closes it.
        let _ = link.inbox.send(Message::Connection { fd, listener, remote, listen: listen.clone() });
    }
}

/// Connections a worker may have waiting before it counts as stuck.
const STUCK: usize = 128;
