//! What a worker runs: connections over what its slots hold, and the upkeep of
//! its pools.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidegate_net::{Accepted, RunPhase, Service, WorkerContext};

use crate::slots::Slots;
use crate::{Update, connection};

/// How often idle upstream connections are looked over.
const SWEEP: Duration = Duration::from_secs(1);

/// The proxy on one worker.
#[derive(Debug)]
pub struct ProxyService {
    pub(crate) worker: Rc<WorkerContext>,
    pub(crate) slots: Slots,
}

impl ProxyService {
    fn sweep(&self) {
        let now = Instant::now();
        let clusters = &self.slots.clusters;
        clusters.for_each(|cluster| {
            for pool in &cluster.pools {
                pool.sweep(now);
            }
        });
        clusters.tidy();
    }

    /// Other workers ask for what this one keeps for later.
    fn make_room(&self) {
        let clusters = &self.slots.clusters;
        clusters.for_each(|cluster| cluster.make_room());
        let peers = &self.worker.peers;
        peers.give_descriptors(|| clusters.close_idle());
        peers.give_ports(|| {
            clusters.for_each(|cluster| {
                for pool in &cluster.pools {
                    pool.reset_one();
                }
            })
        });
    }
}

impl Service for ProxyService {
    type Update = Update;

    fn start(worker: Rc<WorkerContext>, first: Arc<Update>) -> Rc<Self> {
        let slots = Slots::new(worker.index);
        slots.apply(&first);
        let service = Rc::new(ProxyService { worker, slots });
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
        connection::serve(self.clone(), connection)
    }

    fn close_idle(self: &Rc<Self>, percent: u8) -> usize {
        let mut idle = Vec::new();
        let clusters = &self.slots.clusters;
        clusters.for_each(|cluster| idle.extend(cluster.pools.iter().filter(|pool| pool.idle() > 0).cloned()));
        let all: usize = idle.iter().map(|pool| pool.idle()).sum();
        let wanted = (all * usize::from(percent)).div_ceil(100);
        for _ in 0..wanted {
            let oldest = idle.iter().filter_map(|pool| Some((pool.oldest()?, pool))).min_by_key(|(since, _)| *since);
            if let Some((_, pool)) = oldest {
                pool.drop_one();
            }
        }
        wanted
    }

    fn drain(self: &Rc<Self>) {
        if self.worker.phase() != RunPhase::Running {
            self.slots.clusters.for_each(|cluster| cluster.close_pools());
        }
    }
}
