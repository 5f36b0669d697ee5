//! Routes: typed configuration, pure match tables, and what a matched route
//! does to a message's head. No I/O, and no allocation per lookup.
//!
//! ```text
//!  RouterConfig ── RouteTable::new ──▶ RouteTable ── find(&RequestHead) ──▶ Matched
//!                                                                            │ apply_request, apply_response
//!                                                                            ▼
//!                                                                       changed heads
//! ```

#![forbid(unsafe_code)]

mod apply;
mod config;
mod domain;
mod domain_index;
mod forward;
mod header_name;
mod matcher;
mod policy;
mod redirect;
mod rewrite;
mod route_index;
mod table;
mod target;
mod template;
mod variable;
mod weighted;

pub use apply::ApplyError;
pub use config::{
    Append, DirectResponse, HeaderAdd, HeaderEdits, HeaderOps, PerFilterConfig, RedirectAction, RouteAction,
    RouteConfig, RouterConfig, StatusError, VirtualHostConfig,
};
pub use domain::{Domain, DomainError};
pub use forward::{ChosenCluster, ClusterChoice, ClusterName, ForwardAction, HostRewrite, PathRewrite};
pub use header_name::{HeaderName, HeaderNameError};
pub use matcher::{HeaderMatch, MatchError, PathMatch, PathText, RouteMatch};
pub use policy::{CookieError, HashCookie, HashPolicy, MirrorPolicy, RetryOn, RetryPolicy};
pub use rewrite::{PathSubstitution, SubstitutionError};
pub use table::{Matched, NoRoute, Route, RouteId, RouteTable, RouteTableError, VirtualHost, VirtualHostId};
pub use target::{AbsolutePath, Authority, RedirectCode, RedirectPath, Scheme, TargetError};
pub use template::{HeaderValueTemplate, TemplateError};
pub use variable::{StreamVariable, VARIABLE_NAMES, VariableError};
pub use weighted::{NoWeight, WeightedCluster, WeightedClusters};

#[cfg(test)]
mod tests;
