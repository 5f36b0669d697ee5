//! A worker's thread: its loop, and what it is told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::{Address, UpDown, WorkerIndex};
use sidegate_overload::Overload;
use sidegate_watch::Watched;
use tokio::sync::{mpsc, oneshot};

use super::context::{WorkerContext, WorkerLoad};
use super::orders;
use super::phase::Scope;
use super::service::ConnectionGuard;
use crate::accept::{Arrival, Arrivals};
use crate::{Accepted, Peers, RunPhase, Service, Socket};

/// What a worker is told, in the order in which it was sent.
pub(crate) enum Message<S: Service> {
    /// Something was put into its arrivals; it may be gone again.
    Arrived,
    /// Answered once it is taken.
    Update(Arc<S::Update>, oneshot::Sender<()>),
    Phase(Scope, RunPhase),
    /// Something to do on the worker's thread, between polls of its tasks.
    Run(Errand),
}

/// Something to do on a worker's thread.
pub type Errand = Box<dyn FnOnce() + Send>;

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
    first: Arc<S::Update>,
    mut inbox: mpsc::UnboundedReceiver<Message<S>>,
) {
    let ledger = start.overload.ledger(start.index.0);
    let worker = WorkerContext::new(start.index, start.load, Some(start.connections), ledger, start.peers);
    tokio::task::spawn_local(worker.deadlines.clone().run());
    tokio::task::spawn_local(beat(start.watched));
    let service = S::start(worker.clone(), first);
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
                worker.picked_up();
                pick_up(&worker, &service, arrival);
            }
            Some(Message::Update(update, taken)) => {
                service.apply(update);
                // Nobody may wait for it.
                let _ = taken.send(());
            }
            Some(Message::Run(errand)) => {
                if catch_unwind(AssertUnwindSafe(errand)).is_err() {
                    tracing::error!(worker = worker.index.0, "an errand panicked");
                }
            }
            Some(Message::Phase(scope, phase)) => {
                worker.set_phase(scope, phase);
                if scope == Scope::Process {
                    service.drain();
                }
            }
            // Nobody is left to say anything.
            None => {
                worker.set_phase(Scope::Process, RunPhase::Stopping);
                worker.drained().await;
                return;
            }
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

/// Serves a connection that was handed over, as a task of its own.
fn pick_up<S: Service>(worker: &Rc<WorkerContext>, service: &Rc<S>, arrival: Arrival) {
    let Arrival { fd, listener: ticket, remote, listen, ticket: limits } = arrival;
    let listener = worker.listener(ticket.listener());
    let guard = ConnectionGuard::new(worker, &listener, limits, ticket);
    let place = guard.place();
    let accepted = Socket::from_fd(fd, &listen).and_then(|socket| {
        let local = match &*listen {
            // On a wildcard address only the connection knows which one it is.
            Address::Tcp(address) if address.ip().is_unspecified() => socket.local_address()?,
            other => other.clone(),
        };
        let remote = remote.unwrap_or_else(|| local.clone());
        Ok(Accepted { socket, listener: listener.clone(), remote, local, guard })
    });
    match accepted {
        Ok(accepted) => {
            let task = tokio::task::spawn_local(service.serve(accepted));
            listener.served_by(place, task.abort_handle());
        }
        Err(error) => tracing::debug!(%error, "connection was gone before it was served"),
    }
}
