//! Hosts that are spoken to under the names that requests bring.

use std::rc::Rc;

use sidegate_stream::HostPool;
use sidegate_tls::{NameRule, PeerName};
use sidegate_upstream::ClusterConfig;

use super::ClusterView;

/// Whether each connection has a name of its own.
pub(super) fn is_by_name(config: &ClusterConfig) -> bool {
    config.tls.as_ref().is_some_and(|tls| matches!(tls.name_rule(), NameRule::Request { .. }))
}

impl ClusterView {
    /// The pool of the host at `position` for requests to `authority`; `None`:
    /// that is no name that TLS knows.
    #[cold]
    pub(crate) fn pool_under(&self, position: usize, authority: &str) -> Option<Rc<HostPool>> {
        let pool = &self.pools[position];
        if self.cluster.members()[position].clear_text {
            return Some(pool.clone());
        }
        let name = PeerName::parse(without_port(authority))?;
        Some(pool.named(&name.to_string()))
    }
}

/// An authority has a port only behind a name, an IPv4 address, or brackets.
fn without_port(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.split_once(']').map_or(authority, |(address, _)| &authority[..=address.len()]);
    }
    match authority.rsplit_once(':') {
        Some((host, _)) if !host.contains(':') => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_no_part_of_names() {
        for (authority, name) in [
            ("A.test:443", "a.test"),
            ("a.test.", "a.test"),
            ("10.0.0.1:1", "10.0.0.1"),
            ("[::1]:443", "::1"),
            ("[::1]", "::1"),
            ("::1", "::1"),
        ] {
            let parsed = PeerName::parse(without_port(authority)).map(|name| name.to_string());
            assert_eq!(parsed.as_deref(), Some(name), "{authority}");
        }
        for bad in ["", ":1", "a b", "[a]:1", "a..b", "-a.test", "[::1"] {
            assert_eq!(PeerName::parse(without_port(bad)), None, "{bad}");
        }
    }
}
