//! Of a cluster: `lbconfig`, `lb_subset_config`, and how names are resolved.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::LbMetadata;
use sidegate_upstream::{
    ClusterKind, DnsConfig, LbOptions, LookupFamily, Resolver, ResolverServers, SubsetConfig, SubsetFallback, Ttl,
};

use super::cluster_hosts::Hosts;
use crate::diagnostic::kind;
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

pub(super) fn lb_options(cursor: &Cursor<'_>) -> Option<LbOptions> {
    let mut object = cursor.object(&schema::LB_CONFIG)?;
    let default = LbOptions::default();
    let options = LbOptions {
        choices: object
            .get("choice_count")
            .and_then(|c| c.size())
            .and_then(NonZeroUsize::new)
            .unwrap_or(default.choices),
        active_request_bias: object
            .get("active_request_bias")
            .and_then(|c| c.decimal())
            .unwrap_or(default.active_request_bias),
    };
    object.finish();
    Some(options)
}

/// `None` if it says nothing.
pub(super) fn subsets(cursor: &Cursor<'_>) -> Option<SubsetConfig> {
    let mut object = cursor.object(&schema::LB_SUBSET)?;
    if cursor.says_nothing() {
        return None;
    }
    let selectors = object.get("subset_selectors").and_then(|c| c.array()).unwrap_or_default();
    let selectors = selectors.iter().filter_map(|selector| texts(selector)).collect();
    let default = object.get("default_subset").and_then(|c| c.map()).unwrap_or_default();
    let default = default.into_iter().filter_map(|(key, value)| Some((Arc::from(key), Arc::from(value.string()?))));
    let default = LbMetadata::new(default.collect::<Vec<_>>());
    let policy = object.get("fall_back_policy");
    let fallback = match policy.as_ref().and_then(|c| c.integer()) {
        None | Some(0) => SubsetFallback::None,
        Some(1) => SubsetFallback::Any,
        Some(2) => SubsetFallback::Default(default),
        Some(_) => {
            if let Some(policy) = &policy {
                policy.mismatch(kind::BAD_VALUE, "0 (none), 1 (any host) or 2 (`default_subset`)");
            }
            SubsetFallback::None
        }
    };
    object.finish();
    Some(SubsetConfig { selectors, fallback })
}

const DNS_KEYS: [&str; 6] = [
    "dns_refresh_rate",
    "respect_dns_ttl",
    "dns_lookup_family",
    "dns_resolvers",
    "dns_resolver_file",
    "dns_resolver_port",
];

/// `None` if there are no names. The keys are checked all the same.
pub(super) fn dns(object: &mut ObjectReader<'_>, kind: ClusterKind, hosts: Hosts) -> Option<DnsConfig> {
    if kind != ClusterKind::StrictDns {
        for key in DNS_KEYS.into_iter().filter_map(|key| object.get(key)).filter(|value| !value.says_nothing()) {
            key.inert("only clusters of type STRICT_DNS resolve names");
        }
    }
    let mut config = DnsConfig::new(hosts.names);
    config.fixed = hosts.addresses;
    if let Some(rate) = object.get("dns_refresh_rate").and_then(|c| c.duration()).filter(|d| !d.is_zero()) {
        config.refresh_rate = rate;
    }
    if object.get("respect_dns_ttl").and_then(|c| c.bool()) == Some(true) {
        config.ttl = Ttl::Respect;
    }
    let families = [("", LookupFamily::V4Only), ("V4_ONLY", LookupFamily::V4Only), ("V6_ONLY", LookupFamily::V6Only)];
    config.family = object.get("dns_lookup_family").and_then(|c| c.choice(&families)).unwrap_or_default();
    let servers = object.get("dns_resolvers").and_then(|c| resolvers(&c));
    let file = object.get("dns_resolver_file").and_then(|c| c.string()).filter(|path| !path.is_empty());
    let file_port = object.get("dns_resolver_port").and_then(|c| port(&c));
    config.resolver = match (servers, file) {
        (Some(servers), _) => Resolver::Servers(servers),
        (None, Some(path)) => Resolver::File { path: path.into(), port: file_port },
        (None, None) => Resolver::File { path: "/etc/resolv.conf".into(), port: file_port },
    };
    (!config.names.is_empty()).then_some(config)
}

/// `None` if it names no server.
fn resolvers(cursor: &Cursor<'_>) -> Option<ResolverServers> {
    let mut object = cursor.object(&schema::DNS_RESOLVERS)?;
    let servers = object.get("servers").and_then(|c| c.array()).unwrap_or_default();
    let server = |cursor: &Cursor<'_>| {
        let address = cursor.string()?.parse::<IpAddr>();
        address.map_err(|_| cursor.mismatch(kind::BAD_VALUE, "an IP address")).ok()
    };
    let servers: Vec<IpAddr> = servers.iter().filter_map(server).collect();
    let search = object.get("search").and_then(|c| texts(&c)).unwrap_or_default();
    let port = object.get("port").and_then(|c| port(&c));
    let mut number = |name| object.get(name).and_then(|c| c.integer()).filter(|n| *n > 0);
    let ndots = number("ndots").and_then(|n| usize::try_from(n).ok()).unwrap_or(ResolverServers::DEFAULT_NDOTS);
    let timeout = number("timeout").map_or(ResolverServers::DEFAULT_TIMEOUT, Duration::from_secs);
    let attempts = number("attempts").and_then(|n| usize::try_from(n).ok());
    let attempts = attempts.unwrap_or(ResolverServers::DEFAULT_ATTEMPTS);
    object.finish();
    let port = port.unwrap_or(ResolverServers::DEFAULT_PORT);
    (!servers.is_empty()).then_some(ResolverServers { servers, port, search, ndots, timeout, attempts })
}

/// MOSN writes ports as strings; zero and nothing are the default.
fn port(cursor: &Cursor<'_>) -> Option<u16> {
    if cursor.is_number() {
        return cursor.integer().and_then(|n| u16::try_from(n).ok()).filter(|port| *port > 0);
    }
    let text = cursor.string().filter(|text| !text.is_empty())?;
    match text.parse::<u16>() {
        Ok(port) => Some(port).filter(|port| *port > 0),
        Err(_) => {
            cursor.mismatch(kind::BAD_VALUE, "a port from 1 to 65535");
            None
        }
    }
}

fn texts<T: for<'a> From<&'a str>>(cursor: &Cursor<'_>) -> Option<Vec<T>> {
    let elements = cursor.array()?;
    Some(elements.iter().filter_map(|element| element.string()).map(T::from).collect())
}
