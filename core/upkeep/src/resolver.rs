//! Asking the DNS.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Instant;
use std::{fs, io};

use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Resolver as Inner, TokioResolver};
use sidegate_upstream::{DnsConfig, LookupFamily, Resolver as Servers, ResolverServers};

/// Resolves the names of one cluster.
pub(crate) struct Resolver(TokioResolver);

/// The addresses of a name.
pub(crate) struct Answer {
    /// Sorted, each once: the order of answers says nothing.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) valid_until: Instant,
}

impl Resolver {
    pub(crate) fn new(config: &DnsConfig) -> Result<Self, NetError> {
        let (servers, mut options) = match &config.resolver {
            Servers::File { path, port } => {
                let text = fs::read(path).map_err(|error| {
                    io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()))
                })?;
                let (mut servers, options) = parse_resolv_conf(text)?;
                if let Some(port) = port {
                    servers = with_port(servers, *port);
                }
                (servers, options)
            }
            Servers::Servers(servers) => of_servers(servers)?,
        };
        // A name is asked for when it is due, not when a cache has room.
        options.cache_size = 0;
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        options.num_concurrent_reqs = 1;
        options.ip_strategy = match config.family {
            LookupFamily::V4Only => LookupIpStrategy::Ipv4Only,
            LookupFamily::V6Only => LookupIpStrategy::Ipv6Only,
        };
        let builder = Inner::builder_with_config(servers, TokioRuntimeProvider::default());
        Ok(Resolver(builder.with_options(options).build()?))
    }

    pub(crate) async fn resolve(&self, name: &str) -> Result<Answer, NetError> {
        let found = self.0.lookup_ip(name).await?;
        let mut addresses: Vec<IpAddr> = found.iter().collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(Answer { addresses, valid_until: found.valid_until() })
    }
}

fn of_servers(servers: &ResolverServers) -> Result<(ResolverConfig, ResolverOpts), NetError> {
    let mut search = Vec::with_capacity(servers.search.len());
    for domain in &servers.search {
        search.push(Name::from_str(domain)?);
    }
    let name_servers = servers.servers.iter().map(|ip| NameServerConfig::udp_and_tcp(*ip)).collect();
    let mut options = ResolverOpts::default();
    options.ndots = servers.ndots;
    options.timeout = servers.timeout;
    options.attempts = servers.attempts;
    Ok((with_port(ResolverConfig::from_parts(None, search, name_servers), servers.port), options))
}

fn with_port(servers: ResolverConfig, port: u16) -> ResolverConfig {
    let (domain, search, mut name_servers) = servers.into_parts();
    for connection in name_servers.iter_mut().flat_map(|server| &mut server.connections) {
        connection.port = port;
    }
    ResolverConfig::from_parts(domain, search, name_servers)
}
