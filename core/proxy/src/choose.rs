//! The choice of a host for one attempt.

use sidegate_api::{LbMetadata, StreamState};
use sidegate_router::{HashCookie, HashPolicy};
use sidegate_upstream::{Choice, LbPolicy, TriedHosts, stable_hash};

use crate::stream::Stream;
use crate::view::ClusterView;

impl Stream<'_> {
    /// Position of the next host to try.
    pub(crate) fn pick(&mut self, cluster: &ClusterView, tried: &TriedHosts) -> Option<usize> {
        let hash = match cluster.cluster.config().lb {
            LbPolicy::Maglev => self.hash(),
            _ => None,
        };
        let all = LbMetadata::default();
        let of_route = self.target.as_ref().and_then(|target| target.subset.as_ref()).unwrap_or(&all);
        let merged;
        let subset = match &self.state.metadata {
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
    fn hash(&mut self) -> Option<u64> {
        let matched = self.matched()?;
        for policy in matched.hash() {
            if let Some(value) = policy.value(self.state) {
                return Some(stable_hash(value));
            }
            if let HashPolicy::Cookie(cookie) = policy
                && cookie.ttl.is_some()
            {
                return Some(stable_hash(self.cookie(cookie).as_bytes()));
            }
        }
        HashPolicy::SourceIp.value(self.state).map(stable_hash)
    }

    /// The value of the cookie that the client is given with the response.
    /// Made of the connection's addresses, so that requests that the client
    /// sends on it before it has the cookie go to the same host.
    fn cookie(&mut self, cookie: &HashCookie) -> &str {
        &self.new_cookie.get_or_insert_with(|| NewCookie::new(cookie, self.state)).value
    }

    /// Adds the cookie to the response, if one was made. A full map is no
    /// reason to fail: the client just stays without.
    pub(crate) fn give_cookie(&mut self) {
        if let Some(cookie) = self.new_cookie.take() {
            let _ = self.state.response.headers.add(b"set-cookie", cookie.field.as_bytes());
        }
    }
}

/// A cookie that a client gets so that its requests stay on one host.
#[derive(Debug)]
pub(crate) struct NewCookie {
    value: String,
    /// Value of `set-cookie`.
    field: String,
}

impl NewCookie {
    fn new(cookie: &HashCookie, stream: &StreamState) -> Box<Self> {
        let connection = stream.info.connection.as_deref();
        let ends = connection.map(|c| format!("{} {}", c.remote.as_str(), c.local.as_str())).unwrap_or_default();
        let value = format!("{:016x}", stable_hash(ends.as_bytes()));
        let mut field = format!("{}={value}", cookie.name());
        if let Some(ttl) = cookie.ttl {
            field.push_str(&format!("; Max-Age={}", ttl.as_secs().max(1)));
        }
        if !cookie.path().is_empty() {
            field.push_str("; Path=");
            field.push_str(cookie.path());
        }
        field.push_str("; HttpOnly");
        Box::new(NewCookie { value, field })
    }
}
