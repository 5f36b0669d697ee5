//! One entry of `virtual_hosts[].routers`.

use std::sync::Arc;

use sidegate_router::{
    Authority, DirectResponse, HeaderOps, RedirectAction, RedirectCode, RedirectPath, RouteAction, RouteConfig,
    RouteMatch, Scheme,
};

use super::forward::forward_action;
use super::names::Names;
use super::route_match::matcher;
use super::route_policy::mirror_policy;
use super::router::{PerFilter, per_filter_config, to_json};
use crate::diagnostic::{Finding, kind};
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// Reads a route; `None` if it has errors (which are reported).
pub(super) fn route<'a>(cursor: &Cursor<'a>, clusters: &Names) -> Option<(RouteConfig, Vec<PerFilter<'a>>)> {
    let mut object = cursor.object(&schema::ROUTE)?;
    let name = text(&mut object, "name").map(|(_, name)| name);
    let matcher = match object.get("match") {
        Some(cursor) => matcher(&cursor),
        None => Some(RouteMatch::any()),
    };
    let action = action(&mut object, clusters);
    let mirror = object.get("request_mirror_policies").map_or(Some(None), |c| mirror_policy(&c, clusters));
    let per_filter = per_filter_config(object.get("per_filter_config"));
    object.finish();
    let (matcher, (action, headers), mirror) = (matcher?, action?, mirror?);
    let name = name.map_or_else(|| Arc::from(matcher.to_string()), Arc::from);
    let per_filter_config = to_json(&per_filter);
    Some((RouteConfig { name, matcher, action, mirror, headers, per_filter_config }, per_filter))
}

/// In MOSN an empty text is an absent one.
pub(super) fn text<'a>(object: &mut ObjectReader<'a>, name: &'static str) -> Option<(Cursor<'a>, &'a str)> {
    let cursor = object.get(name)?;
    let text = cursor.string().filter(|text| !text.is_empty())?;
    Some((cursor, text))
}

/// What the route does: one of `route`, `redirect` and `direct_response`.
fn action(object: &mut ObjectReader<'_>, clusters: &Names) -> Option<(RouteAction, HeaderOps)> {
    let forward = object.get("route").filter(|cursor| !cursor.says_nothing() && !cursor.is_empty_section());
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
