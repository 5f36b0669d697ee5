//! One entry of `virtual_hosts[].routers`.

use std::sync::Arc;
use std::time::Duration;

use sidegate_router::{
    AbsolutePath, Authority, DirectResponse, ForwardAction, HeaderMatch, HeaderName, HeaderOps, HostRewrite, PathMatch,
    PathRewrite, PathSubstitution, RedirectAction, RedirectCode, RedirectPath, RouteAction, RouteConfig, RouteMatch,
    Scheme,
};

use super::header_ops::header_ops;
use super::names::Names;
use super::router::{PerFilter, per_filter_config, to_json};
use crate::diagnostic::{Finding, kind};
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// Keys of a route that choose its cluster in ways we do not have.
const CLUSTER_CHOICES: [&str; 3] = ["weighted_clusters", "cluster_header", "cluster_variable"];

/// Reads a route; `None` if it has errors (which are reported).
pub(super) fn route<'a>(cursor: &Cursor<'a>, clusters: &Names) -> Option<(RouteConfig, Vec<PerFilter<'a>>)> {
    let mut object = cursor.object(&schema::ROUTE)?;
    let name = text(&mut object, "name").map(|(_, name)| name);
    let matcher = match object.get("match") {
        Some(cursor) => matcher(&cursor),
        None => Some(RouteMatch::any()),
    };
    let action = action(&mut object, clusters);
    let per_filter = per_filter_config(object.get("per_filter_config"));
    object.finish();
    let (matcher, (action, headers)) = (matcher?, action?);
    let name = name.map_or_else(|| Arc::from(matcher.to_string()), Arc::from);
    let per_filter_config = to_json(&per_filter);
    Some((RouteConfig { name, matcher, action, headers, per_filter_config }, per_filter))
}

/// In MOSN an empty text is an absent one.
fn text<'a>(object: &mut ObjectReader<'a>, name: &'static str) -> Option<(Cursor<'a>, &'a str)> {
    let cursor = object.get(name)?;
    let text = cursor.string().filter(|text| !text.is_empty())?;
    Some((cursor, text))
}

fn matcher(cursor: &Cursor<'_>) -> Option<RouteMatch> {
    type Parse = fn(&str) -> Result<PathMatch, sidegate_router::MatchError>;
    let mut object = cursor.object(&schema::MATCH)?;
    let mut path = Some(PathMatch::Any);
    let mut taken = None;
    let order: [(&'static str, Parse); 3] =
        [("prefix", PathMatch::prefix), ("path", PathMatch::exact), ("regex", PathMatch::regex)];
    for (key, parse) in order {
        let Some((cursor, text)) = text(&mut object, key) else { continue };
        let parsed = parse(text).map_err(|problem| cursor.refuse(&problem)).ok();
        match taken {
            Some(first) => cursor.inert(format!("ignored beside `{first}`, as in MOSN")),
            None => (taken, path) = (Some(key), parsed),
        }
    }
    let mut headers = Vec::new();
    for element in object.get("headers").and_then(|c| c.array()).unwrap_or_default() {
        headers.push(header_match(&element));
    }
    object.finish();
    Some(RouteMatch::new(path?, headers.into_iter().collect::<Option<Vec<_>>>()?))
}

fn header_match(cursor: &Cursor<'_>) -> Option<HeaderMatch> {
    let mut object = cursor.object(&schema::HEADER_MATCH)?;
    let name = object.required("name");
    let value = object.required("value");
    let regex = object.get("regex").and_then(|c| c.bool()).unwrap_or_default();
    object.finish();
    let (name, value) = (name?, value?);
    let (name_text, value_text) = (name.string()?, value.string()?);
    let made =
        if regex { HeaderMatch::regex(name_text, value_text) } else { HeaderMatch::literal(name_text, value_text) };
    made.map_err(|problem| match problem {
        sidegate_router::MatchError::Name(_) => name.refuse(&problem),
        _ => value.refuse(&problem),
    })
    .ok()
}

/// What the route does: one of `route`, `redirect` and `direct_response`.
fn action(object: &mut ObjectReader<'_>, clusters: &Names) -> Option<(RouteAction, HeaderOps)> {
    let forward = object.get("route").filter(|cursor| !cursor.says_nothing());
    let redirect_to = object.get("redirect").filter(|cursor| !cursor.says_nothing());
    let direct = object.get("direct_response").filter(|cursor| !cursor.says_nothing());
    match (forward, redirect_to, direct) {
        (Some(cursor), None, None) => forward_action(&cursor, clusters),
        (None, Some(cursor), None) => Some((RouteAction::Redirect(redirect(&cursor)?), HeaderOps::default())),
        (None, None, Some(cursor)) => {
            Some((RouteAction::DirectResponse(direct_response(&cursor)?), HeaderOps::default()))
        }
        (None, None, None) => {
            let expected = "`route`, `redirect` or `direct_response`";
            object.cursor().error(Finding::mismatch(kind::MISSING_KEY, expected, "none of them"));
            None
        }
        _ => {
            let expected = "one of `route`, `redirect` and `direct_response`";
            object.cursor().error(Finding::mismatch(kind::BAD_VALUE, expected, "several of them"));
            None
        }
    }
}

fn forward_action(cursor: &Cursor<'_>, clusters: &Names) -> Option<(RouteAction, HeaderOps)> {
    let mut object = cursor.object(&schema::ROUTE_ACTION)?;
    let chosen_elsewhere = CLUSTER_CHOICES.iter().any(|key| object.has(key));
    let cluster = if chosen_elsewhere { object.get("cluster_name") } else { object.required("cluster_name") };
    let cluster = cluster.and_then(|cursor| {
        let name = cursor.name()?;
        clusters.check(&cursor, "cluster", name).then(|| Arc::from(name))
    });
    let timeout = object.get("timeout").and_then(|c| c.duration()).filter(|d| *d > Duration::ZERO);
    let host_rewrite = host_rewrite(&mut object);
    let path_rewrite = path_rewrite(&mut object);
    if let Some(protocol) = object.get("upstream_protocol") {
        match protocol.string() {
            None | Some("" | "Auto" | "Http1") => {}
            Some(_) => protocol.unsupported(format!(
                "this upstream protocol is not available yet; expected \"Http1\" or \"Auto\", found {}",
                protocol.shown()
            )),
        }
    }
    let headers = header_ops(&mut object);
    object.finish();
    let forward =
        ForwardAction { cluster: cluster?, timeout, host_rewrite: host_rewrite?, path_rewrite: path_rewrite? };
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
    let regex = object.get("regex_rewrite").filter(|cursor| !cursor.says_nothing());
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
    PathSubstitution::parse(pattern.string()?, replacement)
        .map_err(|problem| match (&problem, substitution) {
            (sidegate_router::SubstitutionError::Replacement, Some(cursor)) => cursor.refuse(&problem),
            _ => pattern.refuse(&problem),
        })
        .ok()
}

fn redirect(cursor: &Cursor<'_>) -> Option<RedirectAction> {
    let mut object = cursor.object(&schema::REDIRECT)?;
    let code = match object.get("response_code") {
        Some(cursor) => {
            cursor.integer().and_then(|code| RedirectCode::parse(code).map_err(|problem| cursor.refuse(&problem)).ok())
        }
        None => Some(RedirectCode::default()),
    };
    let path = text(&mut object, "path_redirect").map(|(cursor, _)| cursor.parsed(RedirectPath::parse));
    let host = text(&mut object, "host_redirect").map(|(cursor, _)| cursor.parsed(Authority::parse));
    let scheme = text(&mut object, "scheme_redirect").map(|(cursor, _)| cursor.parsed(Scheme::parse));
    object.finish();
    // The outer `None` is an absent key, the inner one a refused value.
    let refused = [matches!(path, Some(None)), matches!(host, Some(None)), matches!(scheme, Some(None))];
    if refused.contains(&true) {
        return None;
    }
    Some(RedirectAction { code: code?, path: path.flatten(), host: host.flatten(), scheme: scheme.flatten() })
}

fn direct_response(cursor: &Cursor<'_>) -> Option<DirectResponse> {
    let mut object = cursor.object(&schema::DIRECT_RESPONSE)?;
    let status = object.required("status").and_then(|cursor| {
        let status = cursor.integer()?;
        DirectResponse::check_status(status).map_err(|problem| cursor.refuse(&problem)).ok()
    });
    let body = object.get("body").map_or(Some(""), |c| c.string());
    object.finish();
    Some(DirectResponse { status: status?, body: body?.to_owned().into() })
}
