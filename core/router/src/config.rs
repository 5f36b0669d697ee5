//! What a router is made of, fully typed: whoever holds a [`RouterConfig`]
//! needs to check nothing more than what [`RouteTable::new`](crate::RouteTable::new)
//! checks across its parts.

use std::sync::Arc;

use bytes::Bytes;
use sidegate_api::Slashes;

use crate::{
    Authority, Domain, ForwardAction, HeaderName, HeaderValueTemplate, MirrorPolicy, RedirectCode, RedirectPath,
    RouteMatch, Scheme,
};

/// One entry of `routers`.
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// `router_config_name`
    pub name: Arc<str>,
    /// In configured order; which one a request gets depends on its domains
    /// alone.
    pub virtual_hosts: Vec<VirtualHostConfig>,
    /// Applied after those of the route and of the virtual host.
    pub headers: HeaderOps,
    /// `merge_slashes`: of paths before they are matched, and of rewritten
    /// ones.
    pub slashes: Slashes,
}

/// One entry of `virtual_hosts`.
#[derive(Debug, Clone)]
pub struct VirtualHostConfig {
    /// Name for logs and variables.
    pub name: Arc<str>,
    /// Authorities it serves.
    pub domains: Vec<Domain>,
    /// In order: the first that matches wins.
    pub routes: Vec<RouteConfig>,
    /// Applied after those of the route.
    pub headers: HeaderOps,
    /// `per_filter_config`; used where the route has none for the filter.
    pub per_filter_config: PerFilterConfig,
}

/// One entry of `virtual_hosts[].routers`.
#[derive(Debug, Clone)]
pub struct RouteConfig {
    /// Given name, or the match as text (`RouteMatch::to_string`), for logs
    /// and variables.
    pub name: Arc<str>,
    /// Which requests take it.
    pub matcher: RouteMatch,
    /// What happens to them.
    pub action: RouteAction,
    /// `request_mirror_policies`: who gets copies of forwarded requests.
    pub mirror: Option<MirrorPolicy>,
    /// Applied first.
    pub headers: HeaderOps,
    /// `per_filter_config` of the route.
    pub per_filter_config: PerFilterConfig,
}

impl RouteConfig {
    /// A route that does `action` and nothing else.
    pub fn new(name: impl Into<Arc<str>>, matcher: RouteMatch, action: RouteAction) -> RouteConfig {
        RouteConfig {
            name: name.into(),
            matcher,
            action,
            mirror: None,
            headers: HeaderOps::default(),
            per_filter_config: Vec::new(),
        }
    }
}

/// Configuration of filters for one route or virtual host: the filter's name
/// and its object as written.
pub type PerFilterConfig = Vec<(Arc<str>, serde_json::Value)>;

/// What a route does with a request.
#[derive(Debug, Clone)]
pub enum RouteAction {
    /// Sends it to a cluster.
    Forward(ForwardAction),
    /// Answers with a `Location`.
    Redirect(RedirectAction),
    /// Answers by itself.
    DirectResponse(DirectResponse),
}

/// Answers with a `Location` made of the request's URL with parts replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectAction {
    /// `response_code`, 301 by default.
    pub code: RedirectCode,
    /// `path_redirect`: replaces path and query if it has a query of its own,
    /// else the path.
    pub path: Option<RedirectPath>,
    /// `host_redirect`
    pub host: Option<Authority>,
    /// `scheme_redirect`
    pub scheme: Option<Scheme>,
}

/// Answers by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectResponse {
    /// Status code, 200 to 599 ([`DirectResponse::check_status`]).
    pub status: u16,
    /// Body, maybe empty.
    pub body: Bytes,
}

/// A direct response cannot have this status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a status code from 200 to 599, found {0}")]
pub struct StatusError(pub u64);

impl DirectResponse {
    /// `status` if a final response can have it.
    pub fn check_status(status: u64) -> Result<u16, StatusError> {
        u16::try_from(status).ok().filter(|s| (200..=599).contains(s)).ok_or(StatusError(status))
    }
}

/// Header changes of one level (route, virtual host or router).
#[derive(Debug, Clone, Default)]
pub struct HeaderOps {
    /// `request_headers_to_add` and `request_headers_to_remove`
    pub request: HeaderEdits,
    /// `response_headers_to_add` and `response_headers_to_remove`
    pub response: HeaderEdits,
}

/// Header changes in one direction: all additions, then all removals, as in
/// MOSN.
#[derive(Debug, Clone, Default)]
pub struct HeaderEdits {
    /// In order.
    pub add: Vec<HeaderAdd>,
    /// Names, made by [`HeaderName::parse_removable`].
    pub remove: Vec<HeaderName>,
}

/// One entry of `*_headers_to_add`.
#[derive(Debug, Clone)]
pub struct HeaderAdd {
    /// Name; `host` on a request means its authority.
    pub name: HeaderName,
    /// Value.
    pub value: HeaderValueTemplate,
    /// What becomes of fields of that name that are there already.
    pub append: Append,
}

/// The `append` key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Append {
    /// `true`, and the default in MOSN: they stay, and one more follows.
    #[default]
    Keep,
    /// `false`: they are replaced.
    Replace,
}

impl HeaderEdits {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }
}
