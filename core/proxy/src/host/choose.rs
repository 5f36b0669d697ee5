//! The choice of a host for one attempt.

use sidegate_api::LbMetadata;
use sidegate_router::{HashCookie, HashPolicy};
use sidegate_upstream::{Choice, LbPolicy, TriedHosts, stable_hash};

use crate::stream::{NewCookie, Stream};
use crate::view::ClusterView;

/// Position of the next host to try.
pub(crate) fn pick(s: &mut Stream<'_>, cluster: &ClusterView, tried: &TriedHosts) -> Option<usize> {
    let hash = match cluster.cluster.config().lb {
        LbPolicy::Maglev => hash(s),
        _ => None,
    };
    let all = LbMetadata::default();
    let of_route = s.target.as_ref().and_then(|target| target.subset.as_ref()).unwrap_or(&all);
    let merged;
    let subset = match &s.state.metadata {
        None => of_route,
        // Allocates, where a filter asked for it.
        Some(of_filters) => {
            merged = of_filters.over(of_route);
            &merged
        }
    };
    cluster.balancer.borrow_mut().pick(&Choice { tried, hash, subset })
}

/// What makes this request like others: the first policy of the route that
/// says something of it, or else the client's address, as in MOSN.
fn hash(s: &mut Stream<'_>) -> Option<u64> {
    let matched = s.matched()?;
    for policy in matched.hash() {
        if let Some(value) = policy.value(s.state) {
            return Some(stable_hash(value));
        }
        if let HashPolicy::Cookie(asked) = policy
            && asked.ttl.is_some()
        {
            return Some(stable_hash(cookie(s, asked).as_bytes()));
        }
    }
    HashPolicy::SourceIp.value(s.state).map(stable_hash)
}

/// The value of the cookie that the client is given with the response.
/// Made of the connection's addresses, so that requests that the client
/// sends on it before it has the cookie go to the same host.
fn cookie<'s>(s: &'s mut Stream<'_>, asked: &HashCookie) -> &'s str {
    &s.new_cookie.get_or_insert_with(|| NewCookie::new(asked, s.state)).value
}

/// Adds the cookie to the response, if one was made. A full map is no
/// reason to fail: the client just stays without.
pub(crate) fn give_cookie(s: &mut Stream<'_>) {
    if let Some(cookie) = s.new_cookie.take() {
        let _ = s.state.response.headers.add(b"set-cookie", cookie.field.as_bytes());
    }
}
