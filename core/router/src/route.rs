//! Routes and virtual hosts of a table, and what a request's own ones say.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::{LbMetadata, Spoken, StreamState};

use crate::config::{HeaderOps, PerFilterConfig, RouteAction, RouteConfig};
use crate::forward::{ClusterChoice, ForwardAction, HostRewrite, PathRewrite};
use crate::matcher::RouteMatch;
use crate::policy::{HashPolicy, MirrorPolicy, RetryOn, RetryPolicy};
use crate::table::{ClusterId, RouteId, RouteTable, VirtualHostId};

/// One virtual host of a table.
#[derive(Debug)]
pub struct VirtualHost {
    name: Arc<str>,
    pub(crate) headers: HeaderOps,
    per_filter_config: PerFilterConfig,
}

/// One route of a table.
#[derive(Debug)]
pub struct Route {
    name: Arc<str>,
    matcher: RouteMatch,
    action: RouteAction,
    mirror: Option<MirrorPolicy>,
    pub(crate) headers: HeaderOps,
    per_filter_config: PerFilterConfig,
}

/// The end of linked routes.
pub(crate) const NO_ROUTE: u32 = u32::MAX;

/// What every request asks of its route, apart from the rest: half a cache
/// line, so that ten thousand routes that take turns cost one miss each.
#[derive(Debug)]
#[repr(align(32))]
pub(crate) struct RouteHead {
    /// The next route of the virtual host with the same path condition.
    pub(crate) next: u32,
    pub(crate) virtual_host: VirtualHostId,
    destination: Destination,
    timeout_nanos: Option<NonZeroU64>,
    pub(crate) conditions: Conditions,
    edits_request: bool,
    edits_response: bool,
    /// Whether the cold part says more than nothing.
    retry: bool,
    hash: bool,
    subset: bool,
    mirror: bool,
    upstream_protocol: Option<Spoken>,
}

const _: () = assert!(size_of::<RouteHead>() == 32);

/// What a route asks of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conditions {
    /// Its path at most.
    Path,
    /// More.
    More,
}

/// What a route does with a request, as far as it is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Forwards it to this cluster.
    Cluster(ClusterId),
    /// Forwards it to the cluster that [`ForwardAction::choose`] says.
    Choice,
    /// Answers it: [`Route::action`] says what.
    Answer,
}

/// Where a request goes. Its methods cost no more than one cache line, but for
/// those that give a `Route` or `VirtualHost`, which is all the rest.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'t> {
    pub(crate) table: &'t RouteTable,
    pub(crate) id: RouteId,
    pub(crate) head: &'t RouteHead,
    pub(crate) route: &'t Route,
    pub(crate) virtual_host: &'t VirtualHost,
}

impl<'t> Matched<'t> {
    /// The route's number.
    pub fn id(&self) -> RouteId {
        self.id
    }

    /// The virtual host's number.
    pub fn virtual_host_id(&self) -> VirtualHostId {
        self.head.virtual_host
    }

    /// The virtual host of the request's authority.
    pub fn virtual_host(&self) -> &'t VirtualHost {
        self.virtual_host
    }

    /// Its first route that agrees with the request.
    pub fn route(&self) -> &'t Route {
        self.route
    }

    /// Where the request goes.
    pub fn destination(&self) -> Destination {
        self.head.destination
    }

    /// `timeout` of the route; `None`: the proxy's default.
    pub fn timeout(&self) -> Option<Duration> {
        self.head.timeout_nanos.map(|nanos| Duration::from_nanos(nanos.get()))
    }

    /// `upstream_protocol` of the route; `None`: that of the cluster.
    pub fn upstream_protocol(&self) -> Option<Spoken> {
        self.head.upstream_protocol
    }

    /// Whether [`apply_request`](Self::apply_request) has anything to do.
    pub fn edits_request(&self) -> bool {
        self.head.edits_request
    }

    /// Whether [`apply_response`](Self::apply_response) has anything to do.
    pub fn edits_response(&self) -> bool {
        self.head.edits_response
    }

    /// The retry policy, if it wants anything beside another host for a failed
    /// connect.
    pub fn retry(&self) -> Option<&'t RetryPolicy> {
        if self.head.retry { self.route.forward().map(|forward| &forward.retry) } else { None }
    }

    /// The hash policies; none: the client's address.
    pub fn hash(&self) -> &'t [HashPolicy] {
        match self.route.forward() {
            Some(forward) if self.head.hash => &forward.hash,
            _ => &[],
        }
    }

    /// What hosts of a [`Destination::Cluster`] must be; `None`: anything.
    pub fn subset(&self) -> Option<&'t LbMetadata> {
        if self.head.subset { self.route.forward().map(|forward| &forward.subset) } else { None }
    }

    /// Who gets copies.
    pub fn mirror(&self) -> Option<&'t MirrorPolicy> {
        if self.head.mirror { self.route.mirror() } else { None }
    }
}

impl VirtualHost {
    pub(crate) fn new(name: Arc<str>, headers: HeaderOps, per_filter_config: PerFilterConfig) -> VirtualHost {
        VirtualHost { name, headers, per_filter_config }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// `per_filter_config` as written.
    pub fn per_filter_config(&self) -> &PerFilterConfig {
        &self.per_filter_config
    }
}

impl Route {
    pub(crate) fn new(config: RouteConfig) -> Route {
        let RouteConfig { name, matcher, action, mirror, headers, per_filter_config } = config;
        Route { name, matcher, action, mirror, headers, per_filter_config }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Which requests it takes.
    pub fn matcher(&self) -> &RouteMatch {
        &self.matcher
    }

    /// What happens to them.
    pub fn action(&self) -> &RouteAction {
        &self.action
    }

    /// What it does if it forwards.
    pub fn forward(&self) -> Option<&ForwardAction> {
        match &self.action {
            RouteAction::Forward(forward) => Some(forward),
            RouteAction::Redirect(_) | RouteAction::DirectResponse(_) => None,
        }
    }

    /// `request_mirror_policies`
    pub fn mirror(&self) -> Option<&MirrorPolicy> {
        self.mirror.as_ref()
    }

    /// All clusters that the configuration names for it, also for copies.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        let forwarded = self.forward().into_iter().flat_map(ForwardAction::clusters);
        forwarded.chain(self.mirror.iter().map(|mirror| &mirror.cluster))
    }

    /// `per_filter_config` as written.
    pub fn per_filter_config(&self) -> &PerFilterConfig {
        &self.per_filter_config
    }

    /// Whether it agrees with a request whose path does.
    pub(crate) fn agrees_beside_path(&self, stream: &StreamState) -> bool {
        self.matcher.agrees_beside_path(stream)
    }
}

impl RouteHead {
    /// The head of `route`, not linked yet. `levels` are the header changes
    /// that apply; `number` gives names of clusters their numbers.
    pub(crate) fn new(
        route: &Route,
        virtual_host: VirtualHostId,
        levels: [&HeaderOps; 3],
        number: impl FnOnce(&Arc<str>) -> ClusterId,
    ) -> RouteHead {
        let forward = route.forward();
        let destination = match forward.map(|forward| &forward.cluster) {
            Some(ClusterChoice::Named(name)) => Destination::Cluster(number(name)),
            Some(_) => Destination::Choice,
            None => Destination::Answer,
        };
        let nanos = |timeout: Duration| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let rewrites = forward.is_some_and(|forward| {
            forward.host_rewrite != HostRewrite::Keep || !matches!(forward.path_rewrite, PathRewrite::Keep)
        });
        RouteHead {
            next: NO_ROUTE,
            virtual_host,
            destination,
            timeout_nanos: forward.and_then(|forward| NonZeroU64::new(nanos(forward.timeout?))),
            conditions: if route.matcher.asks_for_path_alone() { Conditions::Path } else { Conditions::More },
            edits_request: rewrites || levels.iter().any(|level| !level.request.is_empty()),
            edits_response: levels.iter().any(|level| !level.response.is_empty()),
            retry: forward.is_some_and(|forward| forward.retry.on != RetryOn::Never),
            hash: forward.is_some_and(|forward| !forward.hash.is_empty()),
            subset: forward.is_some_and(|forward| !forward.subset.is_empty()),
            mirror: forward.is_some() && route.mirror.is_some(),
            upstream_protocol: forward.and_then(|forward| forward.upstream_protocol),
        }
    }
}
