//! What a worker runs: connections over the current view, and the upkeep of
//! its pools.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidegate_net::{Accepted, RunPhase, Service, WorkerContext};

use crate::view::{ListenerView, Pools, View};
use crate::{ProxySnapshot, connection};

/// How often idle upstream connections are looked over.
const SWEEP: Duration = Duration::from_secs(1);

/// The proxy on one worker.
#[derive(Debug)]
pub struct ProxyService {
    pub(crate) worker: Rc<WorkerContext>,
    view: RefCell<View>,
    pools: RefCell<Pools>,
}

impl ProxyService {
    /// The listener's current configuration; a stream keeps the one it began
    /// with.
    pub(crate) fn listener(&self, index: usize) -> Option<Rc<ListenerView>> {
        self.view.borrow().listeners.get(index).cloned()
    }

    fn sweep(&self) {
        let now = Instant::now();
        for pool in self.pools.borrow().values() {
            pool.sweep(now);
        }
    }

    /// Other workers ask for what this one keeps for later.
    fn make_room(&self) {
        self.view.borrow().make_room();
        let pools = self.pools.borrow();
        let peers = &self.worker.peers;
        peers.give_descriptors(|| pools.values().any(|pool| pool.drop_one()));
        peers.give_ports(|| {
            pools.values().for_each(|pool| {
                pool.reset_one();
            })
        });
    }
}

impl Service for ProxyService {
    type Snapshot = ProxySnapshot;

    fn start(worker: Rc<WorkerContext>, snapshot: Arc<ProxySnapshot>) -> Rc<Self> {
        let mut pools = Pools::new();
        let view = View::new(&snapshot, &mut pools, worker.index, None);
        let service = Rc::new(ProxyService { worker, view: RefCell::new(view), pools: RefCell::new(pools) });
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

    fn adopt(self: &Rc<Self>, snapshot: Arc<ProxySnapshot>) {
        let view = {
            let before = self.view.borrow();
            View::new(&snapshot, &mut self.pools.borrow_mut(), self.worker.index, Some(&before))
        };
        let old = self.view.replace(view);
        drop(old);
    }

    fn serve(self: &Rc<Self>, connection: Accepted) -> impl Future<Output = ()> + 'static {
        connection::serve(self.clone(), connection)
    }

    fn close_idle(self: &Rc<Self>, percent: u8) -> usize {
        let pools = self.pools.borrow();
        let idle: usize = pools.values().map(|pool| pool.idle()).sum();
        let wanted = (idle * usize::from(percent)).div_ceil(100);
        for _ in 0..wanted {
            let oldest = pools.values().filter_map(|pool| Some((pool.oldest()?, pool))).min_by_key(|(since, _)| *since);
            if let Some((_, pool)) = oldest {
                pool.drop_one();
            }
        }
        wanted
    }

    fn drain(self: &Rc<Self>) {
        if self.worker.phase() != RunPhase::Running {
            for pool in self.pools.borrow().values() {
                pool.close();
            }
        }
    }
}
