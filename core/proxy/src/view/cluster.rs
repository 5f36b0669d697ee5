//! A cluster on one worker.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use sidegate_api::{Address, HeaderCase, Http2Settings, Protocol, Spoken};
use sidegate_net::{BufferPool, Socket};
use sidegate_stream::{Grammar, HostPool, OnClose, PoolLimits, h1};
use sidegate_tls::ContextId;
use sidegate_upstream::{Balancer, Cluster, ClusterConfig, Member, Seed};

use super::by_name::is_by_name;
use super::idle_pools::IdlePools;
use super::room::Waiters;
use super::{Complaints, Standing};

/// A cluster as it is configured, with this worker's balancer and pools.
/// Streams keep it from the match of their route on.
#[derive(Debug)]
pub(crate) struct ClusterView {
    pub(crate) name: Rc<str>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) balancer: RefCell<Balancer>,
    /// In the order of the cluster's members. A host that stays has the same
    /// pool in the next view.
    pub(crate) pools: Vec<Rc<HostPool>>,
    pub(crate) lasting: Rc<Lasting>,
    /// Hosts are spoken to under the names that requests bring: their pools have
    /// others in them.
    pub(crate) by_name: bool,
    manner: Manner,
}

/// What of a cluster outlives its views.
#[derive(Debug)]
pub(crate) struct Lasting {
    /// Where its pools are listed that have something idle.
    pub(crate) idle: Rc<IdlePools>,
    pub(crate) waiters: Waiters,
    /// When this worker last said that it cannot connect for a reason of its
    /// own.
    pub(crate) complained: Cell<Option<Instant>>,
    /// About handshakes of TLS that failed.
    pub(crate) complaints: Complaints,
    /// Since when this worker has seen others wait for a connection without a
    /// break.
    pub(super) contended: Cell<Option<Instant>>,
}

/// The settings that a connection has for its life: a stream is only given one
/// that was made as its cluster says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Manner {
    /// How exactly the hosts keep to the grammar of responses.
    grammar: Grammar,
    /// Bytes read at once.
    read_limit: Option<usize>,
    /// How field names are written.
    case: HeaderCase,
    /// What is said to hosts that speak HTTP/2.
    http2: Http2Settings,
    /// How they are spoken to in TLS.
    tls: Option<ContextId>,
}

/// Where a cluster of some name stands on this worker, whatever it is just
/// now. Routes hold it, so that a change of the cluster changes none of them.
#[derive(Debug)]
pub(crate) struct ClusterSlot {
    view: RefCell<Option<Rc<ClusterView>>>,
    /// What there was before it was removed, for streams that began before.
    former: RefCell<Option<Rc<ClusterView>>>,
    lasting: Rc<Lasting>,
}

impl ClusterView {
    fn new(cluster: Arc<Cluster>, before: Option<&ClusterView>, lasting: Rc<Lasting>) -> Self {
        let config = cluster.config();
        let limits = PoolLimits { idle_timeout: config.idle_timeout, max_requests: config.max_requests_per_connection };
        let (manner, by_name) = (Manner::of(config), is_by_name(config));
        let mut known = before.map(ClusterView::by_address).unwrap_or_default();
        let same = before.is_some_and(|before| before.manner == manner);
        let of_members = cluster.members().iter().map(|member| {
            match known.remove(&Reached::of(cluster.config(), member)).filter(|_| same) {
                Some(pool) => {
                    pool.set_limits(limits);
                    pool.clone()
                }
                None => Rc::new(HostPool::new(limits)),
            }
        });
        let pools: Vec<_> = of_members.collect();
        // Pools of hosts that are gone close what is idle; connections in use
        // end with their streams.
        match before {
            Some(before) if !same => before.close_pools(),
            _ => known.into_values().for_each(|pool| pool.close()),
        }
        let balancer = match before {
            Some(before) => before.balancer.borrow().following(cluster.clone()),
            None => Balancer::new(cluster.clone(), Seed::random()),
        };
        ClusterView {
            name: before.map_or_else(|| Rc::from(&**cluster.name()), |before| before.name.clone()),
            cluster,
            balancer: RefCell::new(balancer),
            pools,
            lasting,
            by_name,
            manner,
        }
    }

    fn by_address(&self) -> HashMap<Reached<'_>, &Rc<HostPool>> {
        let members = self.cluster.members().iter().zip(&self.pools);
        members.map(|(member, pool)| (Reached::of(self.cluster.config(), member), pool)).collect()
    }

    /// Whether a request that came in `downstream` goes on over HTTP/2; `route`
    /// is what its route says.
    #[inline]
    pub(crate) fn speaks_http2(&self, route: Option<Spoken>, downstream: Protocol) -> bool {
        route.unwrap_or(self.cluster.config().upstream_protocol).is_http2_for(downstream)
    }

    /// Makes a connection of a fresh socket to one of the hosts.
    pub(crate) fn connection(&self, socket: Socket, buffers: BufferPool, guard: Box<dyn OnClose>) -> Box<h1::Client> {
        let mut connection = Box::new(h1::Client::new(socket, buffers, Some(guard)));
        connection.tolerate(self.manner.grammar);
        connection.spell(self.manner.case);
        if let Some(limit) = self.manner.read_limit {
            connection.limit_reads(limit);
        }
        connection
    }

    /// Keeps no connection from now on.
    pub(crate) fn close_pools(&self) {
        for pool in &self.pools {
            pool.close();
        }
    }
}

/// What makes the connections of one host different from those of another.
#[derive(PartialEq, Eq, Hash)]
struct Reached<'a> {
    address: &'a Address,
    clear_text: bool,
    /// What its certificate is to be for.
    name: Option<&'a str>,
}

impl<'a> Reached<'a> {
    fn of(config: &ClusterConfig, member: &'a Member) -> Self {
        let name = config.tls.as_ref().and(member.hostname.as_deref());
        Reached { address: member.host.address(), clear_text: member.clear_text, name }
    }
}

impl Manner {
    fn of(config: &ClusterConfig) -> Self {
        let grammar = if config.bare_line_feeds { Grammar::BareLineFeeds } else { Grammar::Padded };
        Manner {
            grammar,
            read_limit: config.conn_buffer_limit_bytes,
            case: config.header_case,
            http2: config.http2,
            tls: config.tls.as_ref().map(|tls| tls.id()),
        }
    }
}

impl ClusterSlot {
    /// For a cluster that is not there, or not yet.
    pub(super) fn vacant(idle: &Rc<IdlePools>) -> Rc<Self> {
        let lasting = Lasting {
            idle: idle.clone(),
            waiters: Waiters::default(),
            complained: Cell::default(),
            complaints: Complaints::default(),
            contended: Cell::default(),
        };
        Rc::new(ClusterSlot { view: RefCell::default(), former: RefCell::default(), lasting: Rc::new(lasting) })
    }

    /// The cluster as it is now, for routes of this standing.
    #[inline]
    pub(crate) fn get(&self, standing: Standing) -> Option<Rc<ClusterView>> {
        match &*self.view.borrow() {
            Some(view) => Some(view.clone()),
            None => self.removed(standing),
        }
    }

    #[cold]
    fn removed(&self, standing: Standing) -> Option<Rc<ClusterView>> {
        match standing {
            Standing::Current => None,
            Standing::Replaced => self.former.borrow().clone(),
        }
    }

    /// The cluster as it is now, if there is one.
    pub(super) fn current(&self) -> Option<Rc<ClusterView>> {
        self.view.borrow().clone()
    }

    pub(super) fn is_vacant(&self) -> bool {
        self.view.borrow().is_none()
    }

    /// The cluster is this one from now on. Whether that is news.
    pub(super) fn set(&self, cluster: &Arc<Cluster>) -> bool {
        let before = self.current();
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(&before.cluster, cluster)) {
            return false;
        }
        let view = ClusterView::new(cluster.clone(), before.as_deref(), self.lasting.clone());
        let old = self.view.replace(Some(Rc::new(view)));
        let former = self.former.take();
        drop((old, former));
        true
    }

    /// The cluster is gone: nothing is kept for it, but streams that began
    /// before may still use it.
    pub(super) fn retire(&self) -> Option<Rc<ClusterView>> {
        let view = self.view.take()?;
        view.close_pools();
        self.former.replace(Some(view.clone()));
        Some(view)
    }

    /// No stream is left, or waited for, that may use what was removed.
    pub(super) fn forget_former(&self) {
        let former = self.former.take();
        drop(former);
    }
}
