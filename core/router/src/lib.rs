//! Routes: typed configuration, pure match tables, and what a matched route
//! does to a message's head. No I/O, and no allocation per lookup.
//!
//! ```text
//!  RouterConfig ── RouteTable::new ──▶ RouteTable ── find(&StreamState) ──▶ Matched
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
mod hash;
mod header_name;
mod matcher;
mod path_index;
mod policy;
mod redirect;
mod rewrite;
mod route;
mod table;
mod target;
mod template;
mod texts;
mod variable;
mod variables_match;
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
pub use route::{Destination, Matched, Route, VirtualHost};
pub use table::{ClusterId, NoRoute, RouteId, RouteTable, RouteTableError, VirtualHostId};
pub use target::{AbsolutePath, Authority, RedirectCode, RedirectPath, Scheme, TargetError};
pub use template::{HeaderValueTemplate, TemplateError};
pub use variable::{StreamVariable, VARIABLE_NAMES, VariableError};
pub use variables_match::{Link, VariableMatch, VariablesMatch};
pub use weighted::{NoWeight, WeightedCluster, WeightedClusters};

#[cfg(test)]
mod tests;
