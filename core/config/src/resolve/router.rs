//! `routers[]`, and the `connection_manager` filters that define routers too.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use sidegate_api::Slashes;
use sidegate_router::{
    Domain, PathMatch, PerFilterConfig, RouteConfig, RouteId, RouteTable, RouteTableError, RouterConfig,
    VirtualHostConfig, VirtualHostId,
};

use super::header_ops::header_ops;
use super::known::{Known, Quiet};
use super::names::Names;
use super::route::route;
use super::router_shape::{RouteShape, RouterShape, VirtualHostShape};
use super::shadowed::Earlier;
use crate::diagnostic::{Finding, kind};
use crate::document::NodeDigest;
use crate::reader::{Cursor, ObjectReader, Unique};
use crate::schema;

/// All routers of the file.
#[derive(Default)]
pub(super) struct Routers<'a> {
    /// Names of all, also of those with errors.
    pub names: Names,
    /// Those without errors of their own.
    pub by_name: BTreeMap<&'a str, Router<'a>>,
    unique: Unique,
    /// Names in `routers`, which go before those of a `connection_manager`.
    of_routers: HashSet<&'a str>,
}

/// A router and where its parts stand.
pub(super) struct Router<'a> {
    pub table: Arc<RouteTable>,
    pub shape: RouterShape,
    pub per_filter: Vec<(Scope, PerFilter<'a>)>,
}

/// What a `per_filter_config` belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope {
    Route(RouteId),
    VirtualHost(VirtualHostId),
}

/// One entry of a `per_filter_config`.
pub(super) struct PerFilter<'a> {
    pub filter: &'a str,
    pub value: Cursor<'a>,
}

/// Where the parts of one virtual host stand; only parts without errors, so
/// that positions agree with those in the typed configuration.
struct Places<'a> {
    domains: Vec<(Cursor<'a>, Domain)>,
    routes: Vec<Cursor<'a>>,
    /// Of `routes`, those that match a path which merging does away with.
    unreachable: Vec<usize>,
}

impl Places<'_> {
    fn warn_of_slashes(&self, slashes: Slashes) {
        if slashes == Slashes::Merge {
            for route in self.unreachable.iter().filter_map(|&place| self.routes.get(place)) {
                route.inert(
                    "no path has `//` by the time it is matched, so this route is never taken; see `merge_slashes`",
                );
            }
        }
    }
}

impl<'a> Routers<'a> {
    /// Reads an entry of `routers`.
    pub fn read(&mut self, cursor: &Cursor<'a>, clusters: &Names, known: &Known<'_>) {
        if let Some(object) = cursor.object(&schema::ROUTER) {
            let name = self.read_object(cursor, object, clusters, known);
            self.of_routers.extend(name);
        }
    }

    /// Reads the `config` of a `connection_manager`, once `routers` are read.
    pub fn read_connection_manager(&mut self, cursor: &Cursor<'a>, clusters: &Names, known: &Known<'_>) {
        let Some(mut object) = cursor.object(&schema::ROUTER) else { return };
        let name = object.text("router_config_name").map(|(_, name)| name);
        if let Some(name) = name.filter(|name| self.of_routers.contains(name)) {
            cursor.inert(format!("ignored: `routers` defines router {name:?} too and goes before, as in MOSN"));
            return;
        }
        self.read_object(cursor, object, clusters, known);
    }

    fn read_object(
        &mut self,
        cursor: &Cursor<'a>,
        mut object: ObjectReader<'a>,
        clusters: &Names,
        known: &Known<'_>,
    ) -> Option<&'a str> {
        let name = object.required("router_config_name").and_then(|cursor| {
            let name = cursor.name()?;
            self.names.insert(name);
            self.unique.check(&cursor, "router name", name).then_some(name)
        });
        let headers = header_ops(&mut object);
        let mut virtual_hosts = Vec::new();
        let mut per_filter = Vec::new();
        let mut places = Vec::new();
        let mut shapes = Vec::new();
        let mut names = Unique::default();
        let mut next_route = 0;
        // Its files are among the virtual hosts by now.
        object.get("router_configs").and_then(|c| c.string());
        for element in object.get("virtual_hosts").and_then(|c| c.array()).unwrap_or_default() {
            let Some(read) = virtual_host(&element, clusters, known, &mut names) else { continue };
            let ReadVirtualHost { config: host, shape, per_filter: of_host, per_filter_of_routes: of_routes, at } =
                read;
            let id = VirtualHostId(u32::try_from(virtual_hosts.len()).unwrap_or(u32::MAX));
            per_filter.extend(of_host.into_iter().map(|entry| (Scope::VirtualHost(id), entry)));
            for of_route in of_routes {
                let id = RouteId(next_route);
                next_route += 1;
                per_filter.extend(of_route.into_iter().map(|entry| (Scope::Route(id), entry)));
            }
            virtual_hosts.push(host);
            places.push(at);
            shapes.push(shape);
        }
        let slashes = match object.get("merge_slashes").and_then(|c| c.bool()) {
            Some(false) => Slashes::Keep,
            Some(true) | None => Slashes::Merge,
        };
        object.finish();
        for at in &places {
            at.warn_of_slashes(slashes);
        }
        let name = name?;
        match RouteTable::new(RouterConfig { name: name.into(), virtual_hosts, headers, slashes }) {
            Ok(table) => {
                let shape = RouterShape::new(name, cursor.node(), shapes);
                self.by_name.insert(name, Router { table: Arc::new(table), shape, per_filter });
            }
            Err(errors) => errors.iter().for_each(|error| report(error, &places, cursor)),
        }
        Some(name)
    }
}

struct ReadVirtualHost<'a> {
    config: VirtualHostConfig,
    shape: VirtualHostShape,
    per_filter: Vec<PerFilter<'a>>,
    per_filter_of_routes: Vec<Vec<PerFilter<'a>>>,
    at: Places<'a>,
}

fn virtual_host<'a>(
    cursor: &Cursor<'a>,
    clusters: &Names,
    known: &Known<'_>,
    names: &mut Unique,
) -> Option<ReadVirtualHost<'a>> {
    let mut object = cursor.object(&schema::VIRTUAL_HOST)?;
    let name = object.get("name").and_then(|cursor| {
        let name = cursor.string().filter(|name| !name.is_empty())?;
        names.check(&cursor, "virtual host name", name);
        Some(name)
    });
    let domains_at = object.required("domains");
    let elements = domains_at.as_ref().and_then(|c| c.array()).unwrap_or_default();
    if let Some(cursor) = domains_at.filter(|c| c.says_nothing()) {
        cursor.error(Finding::mismatch(kind::BAD_VALUE, "at least one domain", "none"));
    }
    let domains = elements.into_iter().filter_map(|cursor| {
        let domain = cursor.parsed(Domain::parse)?;
        Some((cursor, domain))
    });
    let mut places = Places { domains: domains.collect(), routes: Vec::new(), unreachable: Vec::new() };
    let headers = header_ops(&mut object);
    let mut routes = Vec::new();
    let mut per_filter_of_routes = Vec::new();
    let mut shapes = Vec::new();
    let mut earlier = Earlier::default();
    for element in object.get("routers").and_then(|c| c.array()).unwrap_or_default() {
        let digest = element.node().digest();
        if let Some((route, per_filter)) = known_route(&element, digest, clusters, known) {
            earlier.check(&element, &route.matcher);
            if let PathMatch::Prefix(text) | PathMatch::Exact(text) = route.matcher.path()
                && Slashes::Merge.are_to_be_merged(text.as_str().as_bytes())
            {
                places.unreachable.push(places.routes.len());
            }
            shapes.push(RouteShape { name: route.name.clone(), digest });
            routes.push(route);
            per_filter_of_routes.push(per_filter);
            places.routes.push(element);
        }
    }
    let per_filter = per_filter_config(object.get("per_filter_config"));
    object.finish();
    let domains: Vec<_> = places.domains.iter().map(|(_, domain)| domain.clone()).collect();
    let name = name.map_or_else(|| domains.first().map(Domain::to_string).unwrap_or_default(), str::to_owned);
    let per_filter_config = to_json(&per_filter);
    let config = VirtualHostConfig { name: name.into(), domains, routes, headers, per_filter_config };
    let shape = VirtualHostShape::new(&config, cursor.node(), shapes);
    Some(ReadVirtualHost { config, shape, per_filter, per_filter_of_routes, at: places })
}

/// A route as it was read before, or is read now.
fn known_route<'a>(
    cursor: &Cursor<'a>,
    digest: NodeDigest,
    clusters: &Names,
    known: &Known<'_>,
) -> Option<(RouteConfig, Vec<PerFilter<'a>>)> {
    if let Some(route) = known.route(&digest, clusters) {
        return Some((route, Vec::new()));
    }
    let quiet = Quiet::before(cursor);
    clusters.take_asked();
    let (route, per_filter) = route(cursor, clusters)?;
    // Settings of filters are read where they stand.
    if per_filter.is_empty() && quiet.until_now(cursor) {
        known.keep_route(digest, &route, clusters.take_asked());
    }
    Some((route, per_filter))
}

/// The entries of a `per_filter_config`.
pub(super) fn per_filter_config<'a>(cursor: Option<Cursor<'a>>) -> Vec<PerFilter<'a>> {
    let entries = cursor.and_then(|c| c.map()).unwrap_or_default();
    entries.into_iter().map(|(filter, value)| PerFilter { filter, value }).collect()
}

/// The same as the router keeps them.
pub(super) fn to_json(entries: &[PerFilter<'_>]) -> PerFilterConfig {
    entries.iter().map(|entry| (Arc::from(entry.filter), entry.value.node().to_json())).collect()
}

fn report(error: &RouteTableError, places: &[Places<'_>], router: &Cursor<'_>) {
    let route_at = |host: usize, route: usize| places.get(host).and_then(|p| p.routes.get(route));
    let (at, message, kind) = match error {
        RouteTableError::DuplicateDomain { domain, virtual_host, domain_index, .. } => {
            let at = places.get(*virtual_host).and_then(|p| p.domains.get(*domain_index)).map(|(cursor, _)| cursor);
            let mut earlier = places.iter().take(*virtual_host).flat_map(|p| &p.domains);
            let first = earlier.find(|(_, other)| other == domain).map(|(cursor, _)| cursor.place());
            let message = match first {
                Some(first) => format!("domain \"{domain}\" is given twice; the first is at {first}"),
                None => error.to_string(),
            };
            (at, message, kind::DUPLICATE)
        }
        RouteTableError::PrefixRewrite { virtual_host, route }
        | RouteTableError::EndlessRedirect { virtual_host, route } => {
            (route_at(*virtual_host, *route), error.to_string(), kind::BAD_VALUE)
        }
        RouteTableError::TooLarge => (None, error.to_string(), kind::BAD_VALUE),
    };
    at.unwrap_or(router).error(Finding::said(kind, message));
}
