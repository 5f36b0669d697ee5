//! The compiled form of a router.

use std::collections::HashMap;
use std::sync::Arc;

use sidegate_api::{Slashes, StreamState};

use crate::config::{HeaderOps, RouteAction, RouteConfig, RouterConfig};
use crate::domain::Domain;
use crate::domain_index::{DomainIndex, DomainIndexBuilder};
use crate::forward::PathRewrite;
use crate::matcher::PathMatch;
use crate::path_index::PathIndex;
use crate::route::{Matched, Route, RouteHead, VirtualHost};

/// Number of a virtual host in its table, in configured order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualHostId(pub u32);

/// Number of a route in its table: unique across virtual hosts, in configured
/// order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u32);

/// Number of a cluster that routes of a table name: a place in
/// [`RouteTable::clusters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u32);

/// A router, ready for lookups. Immutable.
#[derive(Debug)]
pub struct RouteTable {
    name: Arc<str>,
    headers: HeaderOps,
    slashes: Slashes,
    virtual_hosts: Vec<VirtualHost>,
    routes: Vec<Route>,
    /// By route.
    heads: Vec<RouteHead>,
    clusters: Vec<Arc<str>>,
    domains: DomainIndex,
    paths: PathIndex,
}

/// A request goes nowhere.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no route")]
pub struct NoRoute {
    /// The virtual host without a route for it; `None`: none serves its
    /// authority.
    pub virtual_host: Option<VirtualHostId>,
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
    /// Numbers and texts outgrow 32 bits.
    #[error("expected fewer than 2^32 virtual hosts, routes and bytes of paths and of domains")]
    TooLarge,
}

impl RouteTable {
    /// Compiles `config`, or says everything that is wrong with it.
    pub fn new(config: RouterConfig) -> Result<Self, Vec<RouteTableError>> {
        let mut errors = Vec::new();
        if is_too_large(&config) {
            return Err(vec![RouteTableError::TooLarge]);
        }
        let mut domains = DomainIndexBuilder::default();
        let names: Vec<Arc<str>> = config.virtual_hosts.iter().map(|v| v.name.clone()).collect();
        let mut virtual_hosts = Vec::with_capacity(names.len());
        let (mut routes, mut heads) = (Vec::new(), Vec::new());
        let mut ranges = Vec::with_capacity(names.len());
        let mut clusters = ClusterNames::default();
        for (position, host) in config.virtual_hosts.into_iter().enumerate() {
            let id = VirtualHostId(position as u32);
            for (domain_index, domain) in host.domains.into_iter().enumerate() {
                match domains.insert(&domain, id) {
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
            let start = routes.len();
            for (route_position, route) in host.routes.into_iter().enumerate() {
                errors.extend(check_route(&route, position, route_position));
                let route = Route::new(route);
                let levels = [&route.headers, &host.headers, &config.headers];
                heads.push(RouteHead::new(&route, id, levels, |name| clusters.number(name)));
                routes.push(route);
            }
            ranges.push(start..routes.len());
            virtual_hosts.push(VirtualHost::new(host.name, host.headers, host.per_filter_config));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let paths = PathIndex::new(&ranges, &routes, &mut heads);
        Ok(RouteTable {
            name: config.name,
            headers: config.headers,
            slashes: config.slashes,
            virtual_hosts,
            routes,
            heads,
            clusters: clusters.all,
            domains: domains.build(),
            paths,
        })
    }

    /// The route of a request: the virtual host by its authority, then the
    /// first route there that agrees. A virtual host without such a route does
    /// not give way to a less specific one.
    pub fn find(&self, stream: &StreamState) -> Result<Matched<'_>, NoRoute> {
        let host = self.domains.find(&stream.request.authority).ok_or(NoRoute { virtual_host: None })?;
        let number = self.paths.find(host, &self.routes, &self.heads, stream);
        number.and_then(|number| self.matched(RouteId(number))).ok_or(NoRoute { virtual_host: Some(host) })
    }

    /// What [`find`](Self::find) gave, by the route's number.
    pub fn matched(&self, id: RouteId) -> Option<Matched<'_>> {
        let head = self.heads.get(id.0 as usize)?;
        let route = self.routes.get(id.0 as usize)?;
        let virtual_host = self.virtual_hosts.get(head.virtual_host.0 as usize)?;
        Some(Matched { table: self, id, head, route, virtual_host })
    }

    /// `router_config_name`
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// `merge_slashes`: how paths are to be read before they are matched.
    pub fn slashes(&self) -> Slashes {
        self.slashes
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

    /// The clusters that routes name by `cluster_name`, by number, each once.
    pub fn clusters(&self) -> &[Arc<str>] {
        &self.clusters
    }

    pub(crate) fn headers(&self) -> &HeaderOps {
        &self.headers
    }
}

/// Gives clusters their numbers.
#[derive(Default)]
struct ClusterNames {
    all: Vec<Arc<str>>,
    known: HashMap<Arc<str>, ClusterId>,
}

impl ClusterNames {
    fn number(&mut self, name: &Arc<str>) -> ClusterId {
        *self.known.entry(name.clone()).or_insert_with(|| {
            self.all.push(name.clone());
            ClusterId((self.all.len() - 1) as u32)
        })
    }
}

/// Whether numbers of 32 bits would not do.
fn is_too_large(config: &RouterConfig) -> bool {
    let texts = |route: &RouteConfig| match route.matcher.path() {
        PathMatch::Prefix(text) | PathMatch::Exact(text) => text.as_str().len(),
        PathMatch::Regex(_) | PathMatch::Any => 0,
    };
    let routes = || config.virtual_hosts.iter().flat_map(|host| &host.routes);
    let domains = config.virtual_hosts.iter().flat_map(|host| &host.domains);
    let most = [
        config.virtual_hosts.len(),
        routes().count(),
        routes().map(texts).sum(),
        domains.map(|domain| domain.to_string().len()).sum(),
    ];
    most.into_iter().any(|count| count >= u32::MAX as usize)
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
