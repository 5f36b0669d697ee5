//! Where matched requests are sent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use sidegate_api::{LbMetadata, RouteNames, StreamState};
use sidegate_router::{ClusterName, Destination, Matched, RouteId, RouteTable, VirtualHostId};
use sidegate_telemetry::RouteStats;
use sidegate_upstream::{Random, Seed};

use super::{ClusterSlot, ClusterTable, ClusterView, Standing};
use crate::RouteSet;

/// A listener's routes on one worker; lives until its last stream has ended.
#[derive(Debug)]
pub(crate) struct RouteView {
    table: Arc<RouteTable>,
    stats: RouteStats,
    /// Names of the routes.
    pub(crate) names: Rc<TableNames>,
    /// Where their clusters stand, by the number that routes know them by.
    by_id: Vec<Rc<ClusterSlot>>,
    pub(crate) clusters: Rc<ClusterTable>,
    /// For the choice between weighted clusters.
    random: RefCell<Random>,
    standing: Cell<Standing>,
}

/// Where a request is sent.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) cluster: Rc<ClusterView>,
    /// What the host must be (`metadata_match`); `None`: anything.
    pub(crate) subset: Option<LbMetadata>,
}

/// Names of routes, for [`sidegate_api::RouteLabel`].
#[derive(Debug)]
pub(crate) struct TableNames(Arc<RouteTable>);

impl RouteView {
    pub(crate) fn new(set: &RouteSet, clusters: &Rc<ClusterTable>) -> Self {
        RouteView {
            by_id: set.table.clusters().iter().map(|name| clusters.slot(name)).collect(),
            names: Rc::new(TableNames(set.table.clone())),
            clusters: clusters.clone(),
            random: RefCell::new(Random::new(Seed::random())),
            standing: Cell::new(Standing::Current),
            table: set.table.clone(),
            stats: set.stats.clone(),
        }
    }

    /// Others take their place.
    pub(crate) fn replaced(&self) {
        if self.standing.replace(Standing::Replaced) == Standing::Current {
            self.clusters.routes_replaced();
        }
    }

    /// The match table.
    #[inline]
    pub(crate) fn table(&self) -> &RouteTable {
        &self.table
    }

    /// What is counted of each route.
    #[inline]
    pub(crate) fn stats(&self) -> &RouteStats {
        &self.stats
    }

    /// `None` if the route does not forward, or names no cluster that there
    /// is.
    pub(crate) fn find(&self, matched: &Matched<'_>, state: &StreamState) -> Option<Target> {
        match matched.destination() {
            Destination::Answer => None,
            Destination::Cluster(id) => {
                let cluster = self.by_id.get(id.0 as usize)?.get(self.standing.get())?;
                Some(Target { cluster, subset: matched.subset().cloned() })
            }
            Destination::Choice => {
                let forward = matched.route().forward()?;
                let chosen = forward.choose(state, || self.random.borrow_mut().next())?;
                let cluster = match chosen.name {
                    ClusterName::Configured(name) => self.named(name),
                    ClusterName::Requested(name) => self.named(name),
                };
                let subset = Some(chosen.subset).filter(|subset| !subset.is_empty()).cloned();
                Some(Target { cluster: cluster?, subset })
            }
        }
    }

    /// The cluster of that name.
    pub(crate) fn named(&self, name: &str) -> Option<Rc<ClusterView>> {
        self.clusters.named(name, self.standing.get())
    }

    /// Chance, in `percent` of the cases.
    pub(crate) fn happens(&self, percent: u8) -> bool {
        percent >= 100 || self.random.borrow_mut().below(100) < usize::from(percent)
    }
}

impl Drop for RouteView {
    fn drop(&mut self) {
        let slots = self.table.clusters().iter().cloned().zip(self.by_id.drain(..));
        self.clusters.routes_gone(self.standing.get(), slots.collect());
    }
}

impl RouteNames for TableNames {
    fn virtual_host(&self, number: u32) -> Option<&str> {
        self.0.virtual_host(VirtualHostId(number)).map(|host| &**host.name())
    }

    fn route(&self, number: u32) -> Option<&str> {
        self.0.route(RouteId(number)).map(|route| &**route.name())
    }
}
