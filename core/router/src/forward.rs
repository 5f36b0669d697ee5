//! Routes that send requests to a cluster.

use std::sync::Arc;
use std::time::Duration;

use sidegate_api::{LbMetadata, Spoken, StreamState, VariableValue};

use crate::{
    AbsolutePath, Authority, HashPolicy, HeaderName, PathSubstitution, RetryPolicy, StreamVariable, WeightedClusters,
};

/// Sends a request to a cluster.
#[derive(Debug, Clone)]
pub struct ForwardAction {
    /// Which cluster.
    pub cluster: ClusterChoice,
    /// `timeout`; `None` (MOSN: absent or zero) takes the proxy's default.
    pub timeout: Option<Duration>,
    /// What becomes of the authority.
    pub host_rewrite: HostRewrite,
    /// What becomes of the path.
    pub path_rewrite: PathRewrite,
    /// `retry_policy`
    pub retry: RetryPolicy,
    /// `hash_policy`, for balancers that keep like requests on one host: the
    /// first that yields a value wins. Empty: the client's address, as in MOSN.
    pub hash: Box<[HashPolicy]>,
    /// `metadata_match`: the subset of the cluster's hosts; empty: all of
    /// them. Weighted clusters carry their own.
    pub subset: LbMetadata,
    /// `upstream_protocol`; `None`: what the cluster says.
    pub upstream_protocol: Option<Spoken>,
}

/// How a route finds its cluster. Of several keys MOSN takes
/// `weighted_clusters` before `cluster_name`.
#[derive(Debug, Clone)]
pub enum ClusterChoice {
    /// `cluster_name`
    Named(Arc<str>),
    /// `weighted_clusters`: one of them by chance.
    Weighted(WeightedClusters),
    /// `cluster_header`: the one that this request header names.
    FromHeader(HeaderName),
    /// `cluster_variable`: the one that this variable names.
    FromVariable(StreamVariable),
}

/// The cluster of one request.
#[derive(Debug, Clone, Copy)]
pub struct ChosenCluster<'a> {
    /// Its name. Names that come from a header or variable may be those of no
    /// cluster.
    pub name: ClusterName<'a>,
    /// What its hosts must be; empty: nothing.
    pub subset: &'a LbMetadata,
}

/// A cluster's name.
#[derive(Debug, Clone, Copy)]
pub enum ClusterName<'a> {
    /// From the configuration: such a cluster exists.
    Configured(&'a Arc<str>),
    /// From the request.
    Requested(&'a str),
}

/// What becomes of the authority. MOSN's precedence where several are given:
/// `host_rewrite`, `auto_host_rewrite_header`, `auto_host_rewrite`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HostRewrite {
    /// It stays.
    #[default]
    Keep,
    /// `host_rewrite`
    Literal(Authority),
    /// `auto_host_rewrite_header`: the value of that request header, if it is
    /// there and an authority.
    FromHeader(HeaderName),
    /// `auto_host_rewrite`: the `hostname` of the chosen host, if it has one.
    FromHostname,
}

/// What becomes of the path. The query stays as it is. `prefix_rewrite` has
/// precedence over `regex_rewrite`, as in MOSN.
#[derive(Debug, Clone, Default)]
pub enum PathRewrite {
    /// It stays.
    #[default]
    Keep,
    /// `prefix_rewrite`: takes the place of the matched prefix, or of the
    /// whole path where the route matches an exact path. Refused on routes
    /// that match neither ([`RouteTable::new`](crate::RouteTable::new)).
    Prefix(AbsolutePath),
    /// `regex_rewrite`
    Regex(PathSubstitution),
}

impl ForwardAction {
    /// Forwards to `cluster` and changes nothing.
    pub fn to(cluster: impl Into<Arc<str>>) -> ForwardAction {
        ForwardAction {
            cluster: ClusterChoice::Named(cluster.into()),
            timeout: None,
            host_rewrite: HostRewrite::Keep,
            path_rewrite: PathRewrite::Keep,
            retry: RetryPolicy::default(),
            hash: Box::default(),
            subset: LbMetadata::default(),
            upstream_protocol: None,
        }
    }

    /// The cluster of one request; `None` if its header or variable is not
    /// there. `random` is asked for 64 bits where chance decides.
    pub fn choose<'a>(&'a self, stream: &'a StreamState, random: impl FnOnce() -> u64) -> Option<ChosenCluster<'a>> {
        let name = match &self.cluster {
            ClusterChoice::Named(name) => ClusterName::Configured(name),
            ClusterChoice::Weighted(clusters) => {
                let cluster = clusters.choose(random());
                return Some(ChosenCluster { name: ClusterName::Configured(&cluster.name), subset: &cluster.subset });
            }
            ClusterChoice::FromHeader(name) => requested(stream.request.headers.get(name.as_bytes())?)?,
            ClusterChoice::FromVariable(variable) => match variable.get(stream)? {
                VariableValue::Bytes(bytes) => requested(bytes)?,
                VariableValue::Integer(_) => return None,
            },
        };
        Some(ChosenCluster { name, subset: &self.subset })
    }

    /// The clusters that the configuration names.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        let (named, weighted) = match &self.cluster {
            ClusterChoice::Named(name) => (Some(name), None),
            ClusterChoice::Weighted(clusters) => (None, Some(clusters.iter())),
            ClusterChoice::FromHeader(_) | ClusterChoice::FromVariable(_) => (None, None),
        };
        named.into_iter().chain(weighted.into_iter().flatten().map(|cluster| &cluster.name))
    }
}

impl ClusterName<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            ClusterName::Configured(name) => name,
            ClusterName::Requested(name) => name,
        }
    }
}

fn requested(value: &[u8]) -> Option<ClusterName<'_>> {
    let name = std::str::from_utf8(value).ok().filter(|name| !name.is_empty())?;
    Some(ClusterName::Requested(name))
}
