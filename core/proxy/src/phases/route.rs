//! The match of a route, and what a route answers by itself.

use sidegate_api::{LocalReply, ResetBy, ResponseFlags, RouteLabel};
use sidegate_router::{DirectResponse, Matched, RedirectAction, RouteAction};

use crate::host::Forward;
use crate::outcome::Stop;
use crate::stream::Stream;
use crate::view::Target;

/// A request whose route was found.
pub(crate) struct Routed<'a> {
    matched: Matched<'a>,
    /// Where the route sends it, if it forwards it, and to a cluster that is
    /// there.
    target: Option<Target>,
}

pub(crate) fn find<'a>(s: &mut Stream<'a>) -> Result<Routed<'a>, Stop> {
    let routes = s.routes;
    let found = routes.table().find(s.state);
    let target = found.as_ref().ok().and_then(|matched| routes.find(matched, s.state));
    let info = &mut s.state.info;
    // What a former pass chose is not true any more.
    info.upstream_host = None;
    info.cluster = target.as_ref().map(|target| target.cluster.name.clone());
    let (virtual_host, route) = match &found {
        Ok(matched) => (Some(matched.virtual_host_id()), Some(matched.id())),
        Err(missing) => (missing.virtual_host, None),
    };
    s.route = route.zip(virtual_host);
    info.route = Some(RouteLabel::new(routes.names.clone(), virtual_host.map(|id| id.0), route.map(|id| id.0)));
    match found {
        Ok(matched) => Ok(Routed { matched, target }),
        Err(_) => Err(Stop::error(404, "no_route", ResponseFlags::NO_ROUTE, ResetBy::Nobody)),
    }
}

impl Routed<'_> {
    /// Stops what the route answers by itself: redirects and direct responses.
    #[inline]
    pub(crate) fn answer(&self, s: &mut Stream<'_>) -> Result<(), Stop> {
        match self.matched.route().action() {
            RouteAction::Forward(_) => Ok(()),
            RouteAction::Redirect(redirect) => Err(redirected(s, redirect)),
            RouteAction::DirectResponse(direct) => Err(answered(direct)),
        }
    }

    /// Where the request goes.
    pub(crate) fn forward(&self) -> Result<Forward<'_>, Stop> {
        match &self.target {
            Some(target) => Forward::new(&self.matched, target),
            // The header or variable that names the cluster is not there, or
            // names none.
            None => Err(Stop::error(503, "no_cluster", ResponseFlags::NO_ROUTE, ResetBy::Nobody)),
        }
    }
}

#[cold]
fn redirected(s: &mut Stream<'_>, redirect: &RedirectAction) -> Stop {
    let mut reply = LocalReply::new(redirect.code.status(), "redirect");
    s.scratch.clear();
    redirect.write_location(&s.state.request, s.scratch);
    // One field fits into an empty map: heads are bounded far below.
    let _ = reply.headers.add(b"location", s.scratch);
    by_route(reply)
}

#[cold]
fn answered(direct: &DirectResponse) -> Stop {
    let mut reply = LocalReply::new(direct.status, "direct_response");
    if !direct.body.is_empty() {
        let _ = reply.headers.add(b"content-type", b"text/plain; charset=utf-8");
    }
    reply.body = direct.body.to_vec();
    by_route(reply)
}

fn by_route(reply: LocalReply) -> Stop {
    Stop::reply(Box::new(reply), ResponseFlags::DIRECT_RESPONSE, ResetBy::Nobody)
}
