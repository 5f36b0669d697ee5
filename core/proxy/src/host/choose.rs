//! The choice of a host for one attempt.

use sidegate_api::{LbMetadata, StreamState};
use sidegate_router::HashPolicy;
use sidegate_upstream::{Choice, LbPolicy, TriedHosts, stable_hash};

use super::Forward;
use crate::stream::{NewCookie, Stream};

/// Position of the next host to try.
pub(crate) fn pick(s: &Stream<'_>, to: &mut Forward<'_>, tried: &TriedHosts) -> Option<usize> {
    let hash = match to.cluster.cluster.config().lb {
        LbPolicy::Maglev => hash(s.state, to),
        _ => None,
    };
    let all = LbMetadata::default();
    let of_route = to.subset.unwrap_or(&all);
    let merged;
    let subset = match &s.state.metadata {
        None => of_route,
        // Allocates, where a filter asked for it.
        Some(of_filters) => {
            merged = of_filters.over(of_route);
            &merged
        }
    };
    to.cluster.balancer.borrow_mut().pick(&Choice { tried, hash, subset })
}

/// What makes this request like others: the first policy of the route that
/// says something of it, or else the client's address, as in MOSN.
fn hash(state: &StreamState, to: &mut Forward<'_>) -> Option<u64> {
    for policy in to.matched.hash() {
        if let Some(value) = policy.value(state) {
            return Some(stable_hash(value));
        }
        if let HashPolicy::Cookie(asked) = policy
            && asked.ttl.is_some()
        {
            // Made of the connection's addresses, so that requests that the
            // client sends on it before it has the cookie go to the same host.
            let cookie = to.cookie.get_or_insert_with(|| NewCookie::new(asked, state));
            return Some(stable_hash(cookie.value.as_bytes()));
        }
    }
    HashPolicy::SourceIp.value(state).map(stable_hash)
}

/// Adds the cookie to the response, if one was made. A full map is no reason to
/// fail: the client just stays without.
pub(crate) fn give_cookie(state: &mut StreamState, to: &mut Forward<'_>) {
    if let Some(cookie) = to.cookie.take() {
        let _ = state.response.headers.add(b"set-cookie", cookie.field.as_bytes());
    }
}
