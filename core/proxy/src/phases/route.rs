//! The match of a route, and what a route answers by itself.

use sidegate_api::{ResetBy, ResponseFlags, RouteLabel};
use sidegate_router::RouteAction;

use crate::outcome::Stop;
use crate::stream::Stream;

pub(crate) fn find(s: &mut Stream<'_>) -> Result<(), Stop> {
    let routes = s.routes;
    let found = routes.table().find(s.state);
    s.target = found.as_ref().ok().and_then(|matched| routes.find(matched, s.state));
    let info = &mut s.state.info;
    // What a former pass chose is not true any more.
    info.upstream_host = None;
    info.cluster = s.target.as_ref().map(|target| target.cluster.name.clone());
    let (virtual_host, route) = match &found {
        Ok(matched) => (Some(matched.virtual_host_id()), Some(matched.id())),
        Err(missing) => (missing.virtual_host, None),
    };
    s.route = route.zip(virtual_host);
    info.route = Some(RouteLabel::new(routes.names.clone(), virtual_host.map(|id| id.0), route.map(|id| id.0)));
    match found {
        Ok(_) => Ok(()),
        Err(_) => Err(Stop::error(404, "no_route", ResponseFlags::NO_ROUTE, ResetBy::Nobody)),
    }
}

/// Redirects and direct responses.
pub(crate) fn answer(s: &mut Stream<'_>) -> Result<(), Stop> {
    let Some(matched) = s.matched() else { return Ok(()) };
    let mut reply = match matched.route().action() {
        RouteAction::Forward(_) => return Ok(()),
        RouteAction::Redirect(redirect) => {
            let mut reply = sidegate_api::LocalReply::new(redirect.code.status(), "redirect");
            s.scratch.clear();
            redirect.write_location(&s.state.request, s.scratch);
            // One field fits into an empty map: heads are bounded far below.
            let _ = reply.headers.add(b"location", s.scratch);
            reply
        }
        RouteAction::DirectResponse(direct) => {
            let mut reply = sidegate_api::LocalReply::new(direct.status, "direct_response");
            if !direct.body.is_empty() {
                let _ = reply.headers.add(b"content-type", b"text/plain; charset=utf-8");
            }
            reply.body = direct.body.to_vec();
            reply
        }
    };
    reply.body.shrink_to_fit();
    Err(Stop::reply(Box::new(reply), ResponseFlags::DIRECT_RESPONSE, ResetBy::Nobody))
}
