//! What a router says, part by part, to tell what changed in it.

use std::sync::Arc;

use sidegate_router::VirtualHostConfig;

use crate::document::{Node, NodeDigest};

/// A router as written, whatever the order of its keys and whichever file its
/// parts stand in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterShape {
    /// `router_config_name`
    pub name: Arc<str>,
    /// All but virtual hosts.
    pub rest: NodeDigest,
    /// In configured order, which does not matter for who gets a request.
    pub virtual_hosts: Vec<VirtualHostShape>,
}

/// A virtual host as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualHostShape {
    /// Its name, or its first domain.
    pub name: Arc<str>,
    /// All but routes: domains, headers, settings of filters.
    pub rest: NodeDigest,
    /// In order: the first that matches wins.
    pub routes: Vec<RouteShape>,
}

/// A route as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteShape {
    /// Its name, or its match as text.
    pub name: Arc<str>,
    /// The whole.
    pub digest: NodeDigest,
}

impl RouterShape {
    pub(super) fn new(name: &str, node: &Node, virtual_hosts: Vec<VirtualHostShape>) -> RouterShape {
        let is_list = |key: &str| ["virtual_hosts", "router_configs"].iter().any(|list| key.eq_ignore_ascii_case(list));
        RouterShape { name: name.into(), rest: node.digest_without(is_list), virtual_hosts }
    }
}

impl VirtualHostShape {
    pub(super) fn new(config: &VirtualHostConfig, node: &Node, routes: Vec<RouteShape>) -> VirtualHostShape {
        let rest = node.digest_without(|key| key.eq_ignore_ascii_case("routers"));
        VirtualHostShape { name: config.name.clone(), rest, routes }
    }
}
