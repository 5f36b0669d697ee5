//! Where a matched request is sent.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use sidegate_api::{Address, LbMetadata, RouteNames, StreamState};
use sidegate_router::{ClusterName, Destination, Matched, RouteId, RouteTable, VirtualHostId};
use sidegate_upstream::{Random, Seed};

use crate::view::ClusterView;

/// All clusters by name, shared by the listeners.
pub(crate) type Clusters = Rc<HashMap<Arc<str>, Rc<ClusterView>>>;

/// Finds the cluster that a route wants.
#[derive(Debug)]
pub(crate) struct Targets {
    /// By the number that the listener's routes know them by.
    by_id: Vec<Option<Rc<ClusterView>>>,
    by_name: Clusters,
    /// For the choice between weighted clusters.
    random: RefCell<Random>,
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
pub(crate) struct TableNames(pub(crate) Arc<RouteTable>);

impl Targets {
    pub(crate) fn new(routes: &RouteTable, clusters: &Clusters) -> Targets {
        Targets {
            by_id: routes.clusters().iter().map(|name| clusters.get(name).cloned()).collect(),
            by_name: clusters.clone(),
            random: RefCell::new(Random::new(Seed::random())),
        }
    }

    /// `None` if the route does not forward, or names no cluster that there
    /// is.
    pub(crate) fn find(&self, matched: &Matched<'_>, state: &StreamState) -> Option<Target> {
        match matched.destination() {
            Destination::Answer => None,
            Destination::Cluster(id) => {
                let cluster = self.by_id.get(id.0 as usize)?.clone()?;
                Some(Target { cluster, subset: matched.subset().cloned() })
            }
            Destination::Choice => {
                let forward = matched.route().forward()?;
                let chosen = forward.choose(state, || self.random.borrow_mut().next())?;
                let cluster = match chosen.name {
                    ClusterName::Configured(name) => self.by_name.get(name),
                    ClusterName::Requested(name) => self.by_name.get(name),
                };
                let subset = Some(chosen.subset).filter(|subset| !subset.is_empty()).cloned();
                Some(Target { cluster: cluster?.clone(), subset })
            }
        }
    }
}

impl Targets {
    /// The cluster of that name.
    pub(crate) fn named(&self, name: &str) -> Option<Rc<ClusterView>> {
        self.by_name.get(name).cloned()
    }

    /// Closes the connection of some cluster that was idle for long; whether
    /// there was one.
    pub(crate) fn close_idle(&self) -> bool {
        self.by_name.values().any(|cluster| cluster.pools.iter().any(|pool| pool.drop_one()))
    }

    /// Resets one that was idle, to `peer`; whether there was one.
    pub(crate) fn reset_idle(&self, peer: &Address) -> bool {
        let to_peer = |cluster: &Rc<ClusterView>| {
            let mut members = cluster.cluster.members().iter().zip(&cluster.pools);
            members.any(|(member, pool)| member.host.address() == peer && pool.reset_one())
        };
        self.by_name.values().any(to_peer)
    }

    /// Chance, in `percent` of the cases.
    pub(crate) fn happens(&self, percent: u8) -> bool {
        percent >= 100 || self.random.borrow_mut().below(100) < usize::from(percent)
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
