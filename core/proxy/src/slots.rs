//! What a worker serves now, in slots that are filled one by one: a change
//! costs what has changed, however much else there is.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use sidegate_api::WorkerIndex;
use sidegate_net::ListenerId;

use crate::view::{Attached, ClusterTable, Filters, ListenerView, RouteView};
use crate::{ListenerSpec, ProxyConfig, RouteSet, Update};

/// All slots of one worker.
#[derive(Debug)]
pub(crate) struct Slots {
    worker: WorkerIndex,
    listeners: RefCell<HashMap<ListenerId, Rc<ListenerSlot>>>,
    pub(crate) clusters: Rc<ClusterTable>,
    built: Built,
}

/// Views that were made so far.
#[derive(Debug, Default)]
pub(crate) struct Built {
    pub(crate) listeners: Cell<u64>,
    pub(crate) routes: Cell<u64>,
    pub(crate) clusters: Cell<u64>,
}

/// What a listener is just now. Connections hold it: an idle one holds nothing
/// of a configuration, and looks nothing up for its next request.
#[derive(Debug, Default)]
pub(crate) struct ListenerSlot(RefCell<Option<Filled>>);

/// What a stream of a listener gets at its first byte.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    /// To its end.
    pub(crate) listener: Rc<ListenerView>,
    /// To its end.
    pub(crate) routes: Rc<RouteView>,
    /// For as long as it has filters.
    pub(crate) filters: Option<Rc<Filters>>,
}

/// That, and what it was made of.
#[derive(Debug, Clone)]
struct Filled {
    current: Current,
    config: Arc<ProxyConfig>,
    attached: Rc<Attached>,
    routes: Arc<RouteSet>,
}

impl Slots {
    pub(crate) fn new(worker: WorkerIndex) -> Self {
        Slots { worker, listeners: RefCell::default(), clusters: Rc::default(), built: Built::default() }
    }

    /// The slot of a listener; `None`: there is none of this number.
    pub(crate) fn listener(&self, id: ListenerId) -> Option<Rc<ListenerSlot>> {
        self.listeners.borrow().get(&id).cloned()
    }

    /// Takes a change.
    pub(crate) fn apply(&self, update: &Update) {
        self.take(update);
        self.clusters.tidy();
    }

    fn take(&self, update: &Update) {
        match update {
            Update::Listener(id, Some(spec)) => self.set_listener(*id, spec),
            Update::Listener(id, None) => {
                let slot = self.listeners.borrow_mut().remove(id);
                if let Some(slot) = slot {
                    slot.replace(None);
                }
            }
            Update::Routes(id, routes) => self.set_routes(*id, routes),
            Update::Cluster(_, Some(cluster)) => {
                if self.clusters.set(cluster) {
                    count(&self.built.clusters);
                }
            }
            Update::Cluster(name, None) => self.clusters.remove(name),
            Update::Batch(updates) => updates.iter().for_each(|update| self.take(update)),
        }
    }

    fn set_listener(&self, id: ListenerId, spec: &ListenerSpec) {
        let slot = self.listeners.borrow_mut().entry(id).or_default().clone();
        let before = slot.filled();
        let same = before.as_ref().filter(|before| Arc::ptr_eq(&before.config, &spec.config));
        let (listener, attached) = match same {
            Some(same) => (same.current.listener.clone(), same.attached.clone()),
            None => {
                count(&self.built.listeners);
                let before = before.as_ref().map(|before| &*before.current.listener);
                let view = ListenerView::new(&spec.config, spec.stats.clone(), before);
                (Rc::new(view), Attached::new(&spec.config, self.worker))
            }
        };
        let routes = self.routes(&spec.routes, before.as_ref());
        slot.fill(listener, spec.config.clone(), attached, routes, spec.routes.clone());
    }

    fn set_routes(&self, id: ListenerId, set: &Arc<RouteSet>) {
        let slot = self.listener(id);
        let Some((slot, before)) = slot.and_then(|slot| slot.filled().map(|before| (slot, before))) else {
            tracing::error!(listener = id.0, "routes for a listener that is not there");
            return;
        };
        let routes = self.routes(set, Some(&before));
        let Filled { current, config, attached, .. } = before;
        slot.fill(current.listener, config, attached, routes, set.clone());
    }

    fn routes(&self, set: &Arc<RouteSet>, before: Option<&Filled>) -> Rc<RouteView> {
        match before.filter(|before| Arc::ptr_eq(&before.routes, set)) {
            Some(same) => same.current.routes.clone(),
            None => {
                count(&self.built.routes);
                Rc::new(RouteView::new(set, &self.clusters))
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn built(&self) -> [u64; 3] {
        [self.built.listeners.get(), self.built.routes.get(), self.built.clusters.get()]
    }
}

fn count(views: &Cell<u64>) {
    views.set(views.get() + 1);
}

impl ListenerSlot {
    /// What a stream that begins now gets; `None`: the listener is gone.
    #[inline]
    pub(crate) fn current(&self) -> Option<Current> {
        self.0.borrow().as_ref().map(|filled| filled.current.clone())
    }

    /// The same for a look at it.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&ListenerView) -> R) -> Option<R> {
        self.0.borrow().as_ref().map(|filled| look(&filled.current.listener))
    }

    fn filled(&self) -> Option<Filled> {
        self.0.borrow().clone()
    }

    fn fill(
        &self,
        listener: Rc<ListenerView>,
        config: Arc<ProxyConfig>,
        attached: Rc<Attached>,
        routes: Rc<RouteView>,
        set: Arc<RouteSet>,
    ) {
        let filters = Filters::new(&config, &attached, &set);
        let current = Current { listener, routes, filters };
        self.replace(Some(Filled { current, config, attached, routes: set }));
    }

    fn replace(&self, filled: Option<Filled>) {
        let kept = filled.as_ref().map(|filled| filled.current.routes.clone());
        // Filters that are told that they leave the worker must find no slot
        // borrowed.
        let old = self.0.replace(filled);
        if let Some(old) = &old
            && kept.is_none_or(|kept| !Rc::ptr_eq(&kept, &old.current.routes))
        {
            old.current.routes.replaced();
        }
    }
}

#[cfg(test)]
mod tests {
    use sidegate_api::{HeaderCase, Http2Settings, Metrics, Slashes, Spoken};
    use sidegate_router::{
        Domain, ForwardAction, HeaderOps, PathMatch, RouteAction, RouteConfig, RouteMatch, RouteTable, RouterConfig,
        VirtualHostConfig,
    };
    use sidegate_stream::{Spelling, TargetBytes};
    use sidegate_telemetry::DownstreamStats;
    use sidegate_upstream::{Cluster, ClusterConfig, HostConfig, HostRegistry};

    use super::*;
    use crate::view::Standing;
    use crate::{Forwarding, Http1Limits, ProxyConfig, Timeouts};

    const MANY: usize = 10_000;
    const ID: ListenerId = ListenerId(1);

    fn name(number: usize) -> String {
        format!("cluster-{number}")
    }

    fn cluster(name: &str, port: u16, hosts: &HostRegistry) -> Update {
        let address = sidegate_api::Address::Tcp(([127, 0, 0, 1], port).into());
        let config = ClusterConfig::new(name, vec![HostConfig::new(address)]);
        let cluster = Arc::new(Cluster::new(config, hosts).unwrap());
        Update::Cluster(name.into(), Some(cluster))
    }

    fn routes(count: usize) -> Arc<RouteSet> {
        let route = |number| {
            let path = RouteMatch::new(PathMatch::prefix(&format!("/{number}/")).unwrap(), vec![]);
            RouteConfig::new(name(number), path, RouteAction::Forward(ForwardAction::to(name(number))))
        };
        let host = VirtualHostConfig {
            name: "all".into(),
            domains: vec![Domain::Any],
            routes: (0..count).map(route).collect(),
            headers: HeaderOps::default(),
            per_filter_config: vec![],
        };
        let router = RouterConfig {
            name: "router".into(),
            virtual_hosts: vec![host],
            headers: HeaderOps::default(),
            slashes: Slashes::default(),
        };
        Arc::new(RouteSet::plain(Arc::new(RouteTable::new(router).unwrap())))
    }

    fn listener(metrics: &Metrics, routes: Arc<RouteSet>) -> Arc<ListenerSpec> {
        let config = ProxyConfig {
            listener: "test".into(),
            filters: vec![],
            access_logs: vec![],
            downstream: Spoken::Http1,
            http2: Http2Settings::downstream(),
            limits: Http1Limits::default(),
            timeouts: Timeouts::default(),
            idle_timeout: None,
            forwarding: Forwarding::default(),
            upgrades: vec![],
            header_case: HeaderCase::default(),
            target_bytes: TargetBytes::default(),
            tls: None,
        };
        let stats = DownstreamStats::new(metrics, "test").unwrap();
        Arc::new(ListenerSpec { config: Arc::new(config), stats, routes })
    }

    /// What was built since the last call: listeners, routes, clusters.
    struct Counter<'a>(&'a Slots, [u64; 3]);

    impl Counter<'_> {
        fn after(&mut self, update: &Update) -> [u64; 3] {
            self.0.apply(update);
            let now = self.0.built();
            let before = std::mem::replace(&mut self.1, now);
            std::array::from_fn(|at| now[at] - before[at])
        }
    }

    #[test]
    fn a_change_builds_what_has_changed_and_nothing_else() {
        let metrics = Metrics::new(1);
        let hosts = HostRegistry::new(metrics.clone());
        let slots = Slots::new(WorkerIndex(0));
        let mut built = Counter(&slots, [0; 3]);
        let spec = listener(&metrics, routes(MANY));
        let mut all: Vec<Update> = (0..MANY).map(|number| cluster(&name(number), 1, &hosts)).collect();
        all.push(Update::Listener(ID, Some(spec.clone())));
        let all = Update::Batch(all);
        assert_eq!(built.after(&all), [1, 1, MANY as u64]);
        assert_eq!(built.after(&all), [0, 0, 0], "the same again");
        assert_eq!(built.after(&cluster(&name(77), 2, &hosts)), [0, 0, 1]);
        assert_eq!(built.after(&Update::Cluster(name(78).as_str().into(), None)), [0, 0, 0]);
        assert_eq!(built.after(&Update::Routes(ID, routes(MANY))), [0, 1, 0]);
        assert_eq!(built.after(&Update::Listener(ID, Some(listener(&metrics, spec.routes.clone())))), [1, 1, 0]);
        assert_eq!(built.after(&Update::Listener(ID, None)), [0, 0, 0]);
        assert_eq!(built.after(&Update::Routes(ID, spec.routes.clone())), [0, 0, 0], "nobody has them");
    }

    #[test]
    fn names_without_a_cluster_take_no_room_once_nobody_has_them() {
        let metrics = Metrics::new(1);
        let hosts = HostRegistry::new(metrics.clone());
        let slots = Slots::new(WorkerIndex(0));
        slots.apply(&Update::Listener(ID, Some(listener(&metrics, routes(10)))));
        assert_eq!(slots.clusters.len(), 10, "places for clusters to come");
        slots.apply(&cluster(&name(0), 1, &hosts));
        slots.apply(&cluster("alone", 1, &hosts));
        assert_eq!(slots.clusters.len(), 11);
        // A stream of the former routes holds them.
        let held = slots.listener(ID).unwrap().current().unwrap();
        let of_alone = Update::Cluster("alone".into(), None);
        slots.apply(&Update::Batch(vec![of_alone, Update::Routes(ID, routes(2))]));
        assert_eq!(slots.clusters.len(), 11);
        assert!(slots.clusters.named("alone", Standing::Replaced).is_some(), "it may have been on its way there");
        assert!(slots.clusters.named("alone", Standing::Current).is_none());
        drop(held);
        assert_eq!(slots.clusters.len(), 2);
        slots.apply(&Update::Listener(ID, None));
        assert_eq!(slots.clusters.len(), 1);
        slots.apply(&Update::Cluster(name(0).as_str().into(), None));
        assert_eq!(slots.clusters.len(), 0);
    }

    #[test]
    fn spelling_is_kept_while_some_cluster_wants_it() {
        let hosts = HostRegistry::new(Metrics::new(1));
        let slots = Slots::new(WorkerIndex(0));
        let with = |name: &str, header_case| {
            let config = ClusterConfig { header_case, ..ClusterConfig::new(name, vec![]) };
            Update::Cluster(name.into(), Some(Arc::new(Cluster::new(config, &hosts).unwrap())))
        };
        let mut seen = Vec::new();
        for update in [
            with("a", HeaderCase::Lower),
            with("a", HeaderCase::Preserve),
            with("b", HeaderCase::Preserve),
            with("a", HeaderCase::Title),
            Update::Cluster("b".into(), None),
            with("b", HeaderCase::Preserve),
            Update::Cluster("b".into(), None),
        ] {
            slots.apply(&update);
            seen.push(slots.clusters.spelling() == Spelling::Keep);
        }
        assert_eq!(seen, [false, true, true, true, false, true, false]);
    }
}
