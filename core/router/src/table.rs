//! The compiled form of a router.

use std::sync::Arc;

use sidegate_api::RequestHead;

use crate::config::{HeaderOps, PerFilterConfig, RouteAction, RouteConfig, RouterConfig};
use crate::domain::Domain;
use crate::domain_index::DomainIndex;
use crate::forward::{ForwardAction, HostRewrite, PathRewrite};
use crate::matcher::{PathMatch, RouteMatch};
use crate::policy::MirrorPolicy;
use crate::route_index::RouteIndex;

/// Number of a virtual host in its table, in configured order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualHostId(pub u32);

/// Number of a route in its table: unique across virtual hosts, in configured
/// order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u32);

/// A router, ready for lookups. Immutable.
#[derive(Debug)]
pub struct RouteTable {
    name: Arc<str>,
    headers: HeaderOps,
    virtual_hosts: Vec<VirtualHost>,
    routes: Vec<Route>,
    domains: DomainIndex,
}

/// One virtual host of a table.
#[derive(Debug)]
pub struct VirtualHost {
    id: VirtualHostId,
    name: Arc<str>,
    pub(crate) headers: HeaderOps,
    per_filter_config: PerFilterConfig,
    index: RouteIndex,
}

/// One route of a table.
#[derive(Debug)]
pub struct Route {
    id: RouteId,
    virtual_host: VirtualHostId,
    name: Arc<str>,
    matcher: RouteMatch,
    action: RouteAction,
    mirror: Option<MirrorPolicy>,
    pub(crate) headers: HeaderOps,
    per_filter_config: PerFilterConfig,
    pub(crate) edits: Edits,
}

/// Which directions of a route's traffic are changed, by whatever level.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edits {
    pub(crate) request: bool,
    pub(crate) response: bool,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'t> {
    pub(crate) table: &'t RouteTable,
    /// The virtual host of the request's authority.
    pub virtual_host: &'t VirtualHost,
    /// Its first route that agrees with the request.
    pub route: &'t Route,
}

/// A request goes nowhere.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no route")]
pub struct NoRoute<'t> {
    /// The virtual host without a route for it; `None`: none serves its
    /// authority.
    pub virtual_host: Option<&'t VirtualHost>,
}

/// Parts of a router that do not fit together. Numbers are positions in the
/// configuration, from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteTableError {
    /// One domain in two virtual hosts.
    #[error("domain `{domain}` is already served by virtual host `{first}`; found again in `{second}`")]
    DuplicateDomain {
        /// The domain.
        domain: Domain,
        /// Name of the virtual host that has it.
        first: Arc<str>,
        /// Name of the virtual host that wants it too.
        second: Arc<str>,
        /// Position of the latter.
        virtual_host: usize,
        /// Position of the domain in it.
        domain_index: usize,
    },
    /// There is no matched text that `prefix_rewrite` could replace.
    #[error("`prefix_rewrite` needs a route that matches a `prefix` or `path`")]
    PrefixRewrite {
        /// Position of the virtual host.
        virtual_host: usize,
        /// Position of the route in it.
        route: usize,
    },
    /// The client would come back for ever.
    #[error("expected path_redirect, host_redirect or scheme_redirect: this redirect leads back to where it began")]
    EndlessRedirect {
        /// Position of the virtual host.
        virtual_host: usize,
        /// Position of the route in it.
        route: usize,
    },
}

impl RouteTable {
    /// Compiles `config`, or says everything that is wrong with it.
    pub fn new(config: RouterConfig) -> Result<Self, Vec<RouteTableError>> {
        let mut errors = Vec::new();
        let mut table = RouteTable {
            name: config.name,
            headers: config.headers,
            virtual_hosts: Vec::with_capacity(config.virtual_hosts.len()),
            routes: Vec::with_capacity(config.virtual_hosts.iter().map(|v| v.routes.len()).sum()),
            domains: DomainIndex::default(),
        };
        let names: Vec<Arc<str>> = config.virtual_hosts.iter().map(|v| v.name.clone()).collect();
        for (position, host) in config.virtual_hosts.into_iter().enumerate() {
            let id = VirtualHostId(position as u32);
            for (domain_index, domain) in host.domains.into_iter().enumerate() {
                match table.domains.insert(&domain, id) {
                    // `a.com` beside `a.com:*` in one virtual host means one
                    // thing only.
                    Some(first) if first != id => errors.push(RouteTableError::DuplicateDomain {
                        domain,
                        first: names[first.0 as usize].clone(),
                        second: host.name.clone(),
                        virtual_host: position,
                        domain_index,
                    }),
                    _ => {}
                }
            }
            let start = table.routes.len();
            for (route_position, route) in host.routes.into_iter().enumerate() {
                errors.extend(check_route(&route, position, route_position));
                let levels = [&route.headers, &host.headers, &table.headers];
                let edits = Edits {
                    request: rewrites(&route.action) || levels.iter().any(|l| !l.request.is_empty()),
                    response: levels.iter().any(|l| !l.response.is_empty()),
                };
                table.routes.push(Route {
                    id: RouteId(table.routes.len() as u32),
                    virtual_host: id,
                    name: route.name,
                    matcher: route.matcher,
                    action: route.action,
                    mirror: route.mirror,
                    headers: route.headers,
                    per_filter_config: route.per_filter_config,
                    edits,
                });
            }
            table.virtual_hosts.push(VirtualHost {
                id,
                name: host.name,
                headers: host.headers,
                per_filter_config: host.per_filter_config,
                index: RouteIndex::new(start, &table.routes[start..]),
            });
        }
        if errors.is_empty() { Ok(table) } else { Err(errors) }
    }

    /// The route of `request`: the virtual host by its authority, then the
    /// first route there that agrees. A virtual host without such a route does
    /// not give way to a less specific one.
    pub fn find(&self, request: &RequestHead) -> Result<Matched<'_>, NoRoute<'_>> {
        let host = self.domains.find(&request.authority).and_then(|id| self.virtual_host(id));
        let virtual_host = host.ok_or(NoRoute { virtual_host: None })?;
        let route = virtual_host.index.find(&self.routes, request);
        let route = route.ok_or(NoRoute { virtual_host: Some(virtual_host) })?;
        Ok(Matched { table: self, virtual_host, route })
    }

    /// What [`find`](Self::find) gave, by the route's number.
    pub fn matched(&self, id: RouteId) -> Option<Matched<'_>> {
        let route = self.route(id)?;
        let virtual_host = self.virtual_host(route.virtual_host)?;
        Some(Matched { table: self, virtual_host, route })
    }

    /// `router_config_name`
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The route with this number.
    pub fn route(&self, id: RouteId) -> Option<&Route> {
        self.routes.get(id.0 as usize)
    }

    /// The virtual host with this number.
    pub fn virtual_host(&self, id: VirtualHostId) -> Option<&VirtualHost> {
        self.virtual_hosts.get(id.0 as usize)
    }

    /// All routes, by number.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// All virtual hosts, by number.
    pub fn virtual_hosts(&self) -> &[VirtualHost] {
        &self.virtual_hosts
    }

    pub(crate) fn headers(&self) -> &HeaderOps {
        &self.headers
    }
}

impl VirtualHost {
    /// Its number.
    pub fn id(&self) -> VirtualHostId {
        self.id
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
    /// Its number.
    pub fn id(&self) -> RouteId {
        self.id
    }

    /// Number of its virtual host.
    pub fn virtual_host(&self) -> VirtualHostId {
        self.virtual_host
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
}

fn rewrites(action: &RouteAction) -> bool {
    match action {
        RouteAction::Forward(forward) => {
            forward.host_rewrite != HostRewrite::Keep || !matches!(forward.path_rewrite, PathRewrite::Keep)
        }
        RouteAction::Redirect(_) | RouteAction::DirectResponse(_) => false,
    }
}

fn check_route(config: &RouteConfig, virtual_host: usize, route: usize) -> Option<RouteTableError> {
    match &config.action {
        RouteAction::Forward(forward)
            if matches!(forward.path_rewrite, PathRewrite::Prefix(_))
                && !matches!(config.matcher.path(), PathMatch::Prefix(_) | PathMatch::Exact(_)) =>
        {
            Some(RouteTableError::PrefixRewrite { virtual_host, route })
        }
        RouteAction::Redirect(redirect)
            if redirect.path.is_none() && redirect.host.is_none() && redirect.scheme.is_none() =>
        {
            Some(RouteTableError::EndlessRedirect { virtual_host, route })
        }
        _ => None,
    }
}
