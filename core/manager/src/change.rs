//! One change of everything, step by step: what the steps are is in `steps`.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::Address;
use sidegate_net::{AcceptHandle, BoundListener, ListenerId, ListenerIds, Workers, bind};
use sidegate_proxy::{ProxyService, Update};
use sidegate_upkeep::{Upkeep, check_first, resolve_once};
use sidegate_upstream::{Cluster, Host, HostRegistry};

use crate::clusters::{ClusterPlan, Clusters, keep_unresolved};
use crate::running::{Running, RunningListener};
use crate::sockets::{Socket, SocketKind, SocketPlan};
use crate::steps::Deeds;
use crate::{Fronts, Refused, WantedListener, Why};

/// How long a change waits for the names of hosts. Who cannot be resolved by
/// then is resolved while the process serves.
const NAMES_PATIENCE: Duration = Duration::from_secs(5);
/// How long a change waits for the first health checks of hosts that are new.
pub(crate) const CHECKS_PATIENCE: Duration = Duration::from_secs(5);
/// How long workers that do not hang may take to take a change.
pub(crate) const WORKERS_PATIENCE: Duration = Duration::from_secs(10);

/// What a change needs to be made with.
pub(crate) struct Tools<F> {
    pub(crate) workers: Arc<Workers<ProxyService>>,
    pub(crate) worker_count: usize,
    pub(crate) accepting: AcceptHandle,
    pub(crate) ids: ListenerIds,
    pub(crate) hosts: HostRegistry,
    pub(crate) upkeep: Upkeep,
    pub(crate) fronts: F,
}

/// Where a change goes.
pub(crate) struct Aim<'a, S> {
    pub(crate) listeners: &'a [WantedListener],
    pub(crate) settings: &'a S,
    /// First those of the listeners, then the fronts.
    pub(crate) sockets: &'a [Socket],
    /// The way to them.
    pub(crate) plan: &'a SocketPlan,
}

/// A change that is being made.
pub(crate) struct Change<'a, F: Fronts> {
    tools: &'a mut Tools<F>,
    running: &'a Running,
    listeners: &'a [WantedListener],
    settings: &'a F::Settings,
    /// Wanted: first the listeners, then the fronts.
    wanted: &'a [Socket],
    clusters: ClusterPlan,
    /// What each wanted listener is known by.
    ids: HashMap<usize, ListenerId>,
    bound: HashMap<usize, BoundListener>,
    /// Addresses of wanted sockets that were bound.
    addresses: HashMap<usize, Address>,
    made: Vec<Arc<Cluster>>,
    hand_over: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    drop_listener: &'a mut dyn FnMut(ListenerId, Arc<str>),
}

impl<'a, F: Fronts> Change<'a, F> {
    pub(crate) fn new(
        tools: &'a mut Tools<F>,
        running: &'a Running,
        aim: &Aim<'a, F::Settings>,
        clusters: ClusterPlan,
        hand_over: Pin<Box<dyn Future<Output = ()> + 'a>>,
        drop_listener: &'a mut dyn FnMut(ListenerId, Arc<str>),
    ) -> Self {
        let Aim { listeners, settings, sockets: wanted, plan } = *aim;
        let kept = plan.kept.iter().filter_map(|kept| Some((kept.wanted, running.listeners.get(kept.running)?.id)));
        let ids = kept.collect();
        Change {
            tools,
            running,
            listeners,
            settings,
            wanted,
            clusters,
            ids,
            bound: HashMap::new(),
            addresses: HashMap::new(),
            made: Vec::new(),
            hand_over: Some(hand_over),
            drop_listener,
        }
    }

    /// What runs now that everything is done.
    pub(crate) fn outcome(self, plan: &SocketPlan) -> Running {
        let old = self.running.sockets();
        let bound = |at: usize| {
            let kept = plan.kept.iter().find(|kept| kept.wanted == at);
            kept.map_or_else(|| self.addresses.get(&at).cloned(), |kept| old[kept.running].bound.clone())
        };
        let socket = |at: usize| Socket { bound: bound(at), ..self.wanted[at].clone() };
        let listeners = self.listeners.iter().enumerate().filter_map(|(at, wanted)| {
            Some(RunningListener {
                socket: socket(at),
                id: *self.ids.get(&at)?,
                net: wanted.net.clone(),
                spec: wanted.spec.clone(),
            })
        });
        Running {
            listeners: listeners.collect(),
            fronts: (self.listeners.len()..self.wanted.len()).map(socket).collect(),
            clusters: self.clusters_after(),
        }
    }

    fn clusters_after(&self) -> Clusters {
        self.running.clusters.after(&self.clusters.order, &self.made)
    }

    /// The change for workers, or the one back.
    fn batch(&self, way: Way) -> Update {
        let mut batch = Vec::new();
        let mut gone = Vec::new();
        for made in &self.made {
            let former = self.running.clusters.get(made.name());
            match way {
                Way::There => batch.push(Update::Cluster(made.name().clone(), Some(made.clone()))),
                Way::Back if former.is_some() => batch.push(Update::Cluster(made.name().clone(), former.cloned())),
                Way::Back => gone.push(Update::Cluster(made.name().clone(), None)),
            }
        }
        for name in &self.clusters.removed {
            match way {
                Way::There => gone.push(Update::Cluster(name.clone(), None)),
                Way::Back => batch.push(Update::Cluster(name.clone(), self.running.clusters.get(name).cloned())),
            }
        }
        for (at, wanted) in self.listeners.iter().enumerate() {
            let Some(id) = self.ids.get(&at).copied() else { continue };
            let former = self.running.listeners.iter().find(|listener| listener.id == id);
            let (from, to) = match (way, former) {
                (Way::There, Some(former)) => (&former.spec, &wanted.spec),
                (Way::Back, Some(former)) => (&wanted.spec, &former.spec),
                (Way::There, None) => {
                    batch.push(Update::Listener(id, Some(wanted.spec.clone())));
                    continue;
                }
                (Way::Back, None) => {
                    gone.push(Update::Listener(id, None));
                    continue;
                }
            };
            if Arc::ptr_eq(from, to) {
                continue;
            }
            // Statistics belong to a name.
            let routes_alone = Arc::ptr_eq(&from.config, &to.config);
            batch.push(match routes_alone {
                true => Update::Routes(id, to.routes.clone()),
                false => Update::Listener(id, Some(to.clone())),
            });
        }
        // Routes that name a cluster go before it does.
        batch.append(&mut gone);
        Update::Batch(batch)
    }

    async fn give_workers(&self, batch: Update) {
        let published = self.tools.workers.publish(Arc::new(batch));
        if !published.taken(WORKERS_PATIENCE).await {
            tracing::warn!("a worker has not taken the change yet; it takes it before it serves anything again");
        }
    }

    fn listener_at(&self, running: usize) -> Option<&'a RunningListener> {
        self.running.listeners.get(running)
    }

    fn front_at(&self, running: usize) -> Option<&'a Socket> {
        self.running.fronts.get(running.checked_sub(self.running.listeners.len())?)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

impl<F: Fronts> Deeds for Change<'_, F> {
    type Error = Refused;

    async fn warm(&mut self) -> Result<(), Refused> {
        self.tools.fronts.prepare(self.settings)?;
        let mut configs = std::mem::take(&mut self.clusters.made);
        resolve_once(&mut configs, NAMES_PATIENCE).await;
        for mut config in configs {
            if let Some(former) = self.running.clusters.get(&config.name) {
                keep_unresolved(&mut config, former.config());
            }
            let made = Cluster::new(config, &self.tools.hosts);
            self.made.push(Arc::new(made.map_err(|error| Refused::because(Why::Environment, error.to_string()))?));
        }
        let former = self.made.iter().filter_map(|made| self.running.clusters.get(made.name()));
        let checked = former.filter(|former| former.config().health_check.is_some());
        let known = checked.flat_map(|former| former.all_members()).map(|member| Arc::as_ptr(&member.host));
        let known: HashSet<*const Host> = known.collect();
        check_first(&self.made, |host| !known.contains(&Arc::as_ptr(host)), CHECKS_PATIENCE).await;
        Ok(())
    }

    async fn bind(&mut self, wanted: usize) -> Result<(), Refused> {
        let address = match self.listeners.get(wanted) {
            Some(listener) => {
                let id = self.tools.ids.next_id();
                let bound = bind(id, listener.net.clone(), self.tools.worker_count)
                    .map_err(|error| Refused::because(Why::Environment, error.to_string()))?;
                let address = bound.address.clone();
                self.ids.insert(wanted, id);
                self.bound.insert(wanted, bound);
                address
            }
            None => self.tools.fronts.bind(&self.wanted[wanted], self.settings)?,
        };
        self.addresses.insert(wanted, address);
        Ok(())
    }

    async fn unbind(&mut self, wanted: usize) {
        if self.listeners.get(wanted).is_none() {
            return self.tools.fronts.unbind(&self.wanted[wanted]).await;
        }
        let was_waiting = self.bound.remove(&wanted).is_some();
        if let (false, Some(id)) = (was_waiting, self.ids.get(&wanted)) {
            self.tools.accepting.remove(*id).await;
            // Whoever came meanwhile has the time that all have.
            let name = self.wanted[wanted].name.clone();
            (self.drop_listener)(*id, name);
        }
    }

    async fn close(&mut self, running: usize) {
        match (self.listener_at(running), self.front_at(running)) {
            (Some(listener), _) => {
                self.tools.accepting.remove(listener.id).await;
            }
            (None, Some(front)) => self.tools.fronts.close(front).await,
            (None, None) => {}
        }
    }

    async fn reopen(&mut self, running: usize) -> Result<(), Refused> {
        let refused = |error: &dyn std::fmt::Display| Refused::because(Why::Environment, error.to_string());
        match (self.listener_at(running), self.front_at(running)) {
            (Some(listener), _) => {
                let mut config = (*listener.net).clone();
                // The port that it had, not any other.
                config.address = listener.socket.bound.clone().unwrap_or(config.address);
                let bound = bind(listener.id, Arc::new(config), self.tools.worker_count).map_err(|e| refused(&e))?;
                self.tools.accepting.add(bound).await.map_err(|e| refused(&e))
            }
            (None, Some(front)) => self.tools.fronts.reopen(front),
            (None, None) => Ok(()),
        }
    }

    async fn hand_over(&mut self) {
        if let Some(hand_over) = self.hand_over.take() {
            hand_over.await;
        }
    }

    async fn publish(&mut self) {
        self.give_workers(self.batch(Way::There)).await;
        for cluster in &self.made {
            self.tools.upkeep.adopt_one(cluster);
        }
        for name in &self.clusters.removed {
            self.tools.upkeep.forget(name);
        }
    }

    async fn take_back(&mut self) {
        self.give_workers(self.batch(Way::Back)).await;
        for cluster in &self.made {
            match self.running.clusters.get(cluster.name()) {
                Some(former) => self.tools.upkeep.adopt_one(former),
                None => self.tools.upkeep.forget(cluster.name()),
            }
        }
        for former in self.clusters.removed.iter().filter_map(|name| self.running.clusters.get(name)) {
            self.tools.upkeep.adopt_one(former);
        }
    }

    async fn accept(&mut self, wanted: usize) -> Result<(), Refused> {
        if self.wanted[wanted].kind != SocketKind::Listener {
            self.tools.fronts.serve(&self.wanted[wanted]);
            return Ok(());
        }
        let Some(bound) = self.bound.remove(&wanted) else { return Ok(()) };
        let (name, address) = (self.wanted[wanted].name.clone(), bound.address.clone());
        let added = self.tools.accepting.add(bound).await;
        added.map_err(|error| {
            Refused::because(Why::Environment, format!("listener {name:?} cannot accept at {address}: {error}"))
        })?;
        tracing::info!(listener = &*name, %address, "listening");
        Ok(())
    }

    async fn retire(&mut self, running: usize) {
        match (self.listener_at(running), self.front_at(running)) {
            (Some(listener), _) => {
                // Those that made room do not accept any more.
                self.tools.accepting.remove(listener.id).await;
                (self.drop_listener)(listener.id, listener.socket.name.clone());
            }
            (None, Some(front)) => self.tools.fronts.close(front).await,
            (None, None) => {}
        }
    }
}
