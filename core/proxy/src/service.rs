//! What a worker runs: connections over what its slots hold, and the upkeep of
//! its pools.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidegate_net::{Accepted, RunPhase, Service, WorkerContext};

use crate::connection::StreamRunners;
use crate::slots::Slots;
use crate::{Update, connection};

/// How often idle upstream connections are looked over.
const SWEEP: Duration = Duration::from_secs(1);

/// The proxy on one worker.
#[derive(Debug)]
pub struct ProxyService {
    pub(crate) worker: Rc<WorkerContext>,
    pub(crate) slots: Slots,
    pub(crate) runners: Rc<StreamRunners>,
}

impl ProxyService {
    fn sweep(&self) {
        let clusters = &self.slots.clusters;
        clusters.idle.sweep(Instant::now());
        clusters.tidy();
        match self.worker.ledger.is_tight() {
            true => self.runners.clear(),
            false => self.runners.sweep(),
        }
    }

    /// Other workers ask for what this one keeps for later.
    fn make_room(&self) {
        let clusters = &self.slots.clusters;
        clusters.for_each(|cluster| cluster.make_room());
        let peers = &self.worker.peers;
        peers.give_descriptors(|| clusters.idle.drop_one());
        peers.give_ports(|| clusters.idle.reset_one_each());
    }
}

impl Service for ProxyService {
    type Update = Update;

    fn start(worker: Rc<WorkerContext>, first: Arc<Update>) -> Rc<Self> {
        let slots = Slots::new(worker.index);
        slots.apply(&first);
        let service = Rc::new(ProxyService { worker, slots, runners: Rc::default() });
        let (weak, peers) = (Rc::downgrade(&service), service.worker.peers.clone());
        tokio::task::spawn_local(async move {
            loop {
                peers.asked().await;
                let Some(service) = weak.upgrade() else { return };
                service.make_room();
            }
        });
        let weak = Rc::downgrade(&service);
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(service) = weak.upgrade() else { return };
                service.sweep();
            }
        });
        service
    }

    fn apply(self: &Rc<Self>, update: Arc<Update>) {
        self.slots.apply(&update);
    }

    fn serve(self: &Rc<Self>, connection: Accepted) -> impl Future<Output = ()> + 'static {
        let (worker, runners) = (self.worker.clone(), self.runners.clone());
        let slot = self.slots.listener(connection.listener.id());
        async move {
            if let Some(slot) = slot {
                connection::serve(worker, runners, slot, connection).await;
            }
        }
    }

    fn close_idle(self: &Rc<Self>, percent: u8) -> usize {
        self.slots.clusters.idle.close(percent)
    }

    fn drain(self: &Rc<Self>) {
        if self.worker.phase() != RunPhase::Running {
            self.slots.clusters.for_each(|cluster| cluster.close_pools());
        }
    }
}
