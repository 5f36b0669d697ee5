//! `route` of a route: what is sent to a cluster, and how.

use std::time::Duration;

use sidegate_api::LbMetadata;
use sidegate_router::{
    AbsolutePath, Authority, ForwardAction, HeaderName, HeaderOps, HostRewrite, PathRewrite, PathSubstitution,
    RetryPolicy, RouteAction, SubstitutionError,
};

use super::cluster_choice::cluster_choice;
use super::header_ops::header_ops;
use super::metadata::lb_metadata;
use super::names::Names;
use super::route::text;
use super::route_policy::{hash_policies, retry_policy};
use super::spoken::upstream_protocol;
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// Reads a `route`; `None` if it has errors (which are reported).
pub(super) fn forward_action(cursor: &Cursor<'_>, clusters: &Names) -> Option<(RouteAction, HeaderOps)> {
    let mut object = cursor.object(&schema::ROUTE_ACTION)?;
    let subset = object.get("metadata_match").map_or(Some(LbMetadata::default()), |c| lb_metadata(&c));
    let cluster = cluster_choice(&mut object, clusters, subset.as_ref());
    let timeout = object.get("timeout").and_then(|c| c.duration()).filter(|d| *d > Duration::ZERO);
    let host_rewrite = host_rewrite(&mut object);
    let path_rewrite = path_rewrite(&mut object);
    let upstream_protocol = object.get("upstream_protocol").map_or(Some(None), |c| upstream_protocol(&c));
    let retry = object.get("retry_policy").map_or(Some(RetryPolicy::default()), |c| retry_policy(&c));
    let hash = hash_policies(object.get("hash_policy"));
    let headers = header_ops(&mut object);
    object.finish();
    let forward = ForwardAction {
        cluster: cluster?,
        timeout,
        host_rewrite: host_rewrite?,
        path_rewrite: path_rewrite?,
        retry: retry?,
        hash: hash?.into(),
        subset: subset?,
        upstream_protocol: upstream_protocol?,
    };
    Some((RouteAction::Forward(forward), headers))
}

fn host_rewrite(object: &mut ObjectReader<'_>) -> Option<HostRewrite> {
    let literal = text(object, "host_rewrite").map(|(cursor, _)| cursor.parsed(Authority::parse));
    let header = text(object, "auto_host_rewrite_header").map(|(cursor, _)| cursor.parsed(HeaderName::parse_readable));
    let automatic = object.get("auto_host_rewrite").and_then(|c| c.bool()).unwrap_or_default();
    match (literal, header) {
        (Some(authority), _) => authority.map(HostRewrite::Literal),
        (None, Some(header)) => header.map(HostRewrite::FromHeader),
        (None, None) if automatic => Some(HostRewrite::FromHostname),
        (None, None) => Some(HostRewrite::Keep),
    }
}

fn path_rewrite(object: &mut ObjectReader<'_>) -> Option<PathRewrite> {
    let prefix = text(object, "prefix_rewrite");
    let regex = object.get("regex_rewrite");
    match (prefix, regex) {
        (Some((prefix, _)), regex) => {
            if let Some(regex) = regex {
                regex.inert("ignored beside `prefix_rewrite`, as in MOSN");
            }
            prefix.parsed(AbsolutePath::parse).map(PathRewrite::Prefix)
        }
        (None, Some(regex)) => regex_rewrite(&regex).map(PathRewrite::Regex),
        (None, None) => Some(PathRewrite::Keep),
    }
}

fn regex_rewrite(cursor: &Cursor<'_>) -> Option<PathSubstitution> {
    let mut object = cursor.object(&schema::REGEX_REWRITE)?;
    let pattern = object.required("pattern").and_then(|c| c.object(&schema::REGEX_PATTERN)).and_then(|mut pattern| {
        let regex = pattern.required("regex");
        pattern.finish();
        regex
    });
    let substitution = object.get("substitution");
    object.finish();
    let pattern = pattern?;
    let replacement = match &substitution {
        Some(cursor) => cursor.string()?,
        None => "",
    };
    let text = pattern.string().filter(|text| pattern.can_afford(text))?;
    PathSubstitution::parse(text, replacement)
        .map_err(|problem| match (&problem, substitution) {
            (SubstitutionError::Replacement, Some(cursor)) => cursor.refuse(&problem),
            _ => pattern.refuse(&problem),
        })
        .ok()
}
