//! Asking the DNS.

use std::io;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, Instant};

use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::{Resolver as Inner, TokioResolver};
use sidegate_upstream::{DnsConfig, LookupFamily, Resolver as Servers, ResolverServers};

/// Largest file of servers, in bytes.
const MAX_FILE: u64 = 1 << 20;

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
                let text = sidegate_files::read_regular(path, MAX_FILE)
                    .map_err(|error| io::Error::other(format!("cannot read {}: {error}", path.display())))?;
                configure(&of_file(&text, port.unwrap_or(ResolverServers::DEFAULT_PORT))?)?
            }
            Servers::Servers(servers) => configure(servers)?,
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

/// What a file in the format of `/etc/resolv.conf` says.
fn of_file(text: &[u8], port: u16) -> Result<ResolverServers, NetError> {
    // What one line says wrong, or an option that is not known, is no reason to
    // go without the others.
    let (file, mistakes) = resolv_conf::Config::parse_with_errors(text);
    for mistake in mistakes {
        tracing::warn!(%mistake, "in the file that names DNS servers");
    }
    if file.nameservers.is_empty() {
        return Err(io::Error::other("the file names no server").into());
    }
    Ok(ResolverServers {
        servers: file.nameservers.iter().map(IpAddr::from).collect(),
        port,
        search: file.get_last_search_or_domain().cloned().collect(),
        ndots: usize::try_from(file.ndots).unwrap_or(ResolverServers::DEFAULT_NDOTS),
        timeout: Duration::from_secs(file.timeout.into()),
        attempts: usize::try_from(file.attempts).unwrap_or(ResolverServers::DEFAULT_ATTEMPTS),
    })
}

fn configure(servers: &ResolverServers) -> Result<(ResolverConfig, ResolverOpts), NetError> {
    let mut search = Vec::with_capacity(servers.search.len());
    for domain in &servers.search {
        search.push(Name::from_str(domain)?);
    }
    let mut name_servers: Vec<_> = servers.servers.iter().map(|ip| NameServerConfig::udp_and_tcp(*ip)).collect();
    for connection in name_servers.iter_mut().flat_map(|server| &mut server.connections) {
        connection.port = servers.port;
    }
    let mut options = ResolverOpts::default();
    options.ndots = servers.ndots;
    options.timeout = servers.timeout;
    options.attempts = servers.attempts;
    Ok((ResolverConfig::from_parts(None, search, name_servers), options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let text = b"search ns.svc.cluster.local svc.cluster.local\nnameserver 10.0.0.10\nnameserver ::1\n\
                     options ndots:5 timeout:3 attempts:4\n";
        let expected = ResolverServers {
            servers: vec!["10.0.0.10".parse().unwrap(), "::1".parse().unwrap()],
            port: 5353,
            search: vec!["ns.svc.cluster.local".into(), "svc.cluster.local".into()],
            ndots: 5,
            timeout: Duration::from_secs(3),
            attempts: 4,
        };
        assert_eq!(of_file(text, 5353).unwrap(), expected);
        assert_eq!(of_file(b"# nothing\n", 53).unwrap_err().to_string(), "io error: the file names no server");
        assert!(of_file(b"nameserver x\n", 53).is_err());
        assert_eq!(of_file(b"options x-new\nnameserver 10.0.0.1\n", 53).unwrap().servers.len(), 1);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let resolver = Servers::File { path: "/no/such/file".into(), port: None };
        let config = DnsConfig { resolver, ..DnsConfig::new(vec![]) };
        let error = Resolver::new(&config).err().unwrap();
        assert!(error.to_string().contains("cannot read /no/such/file"), "{error}");
    }
}
