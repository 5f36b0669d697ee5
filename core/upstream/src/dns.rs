//! Hosts that are known by name, as configured. They are resolved elsewhere:
//! this crate does no I/O.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::LbMetadata;

use crate::config::{HostConfig, HostWeight};

/// Names of a `STRICT_DNS` cluster and how they are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsConfig {
    /// In configured order.
    pub names: Vec<NamedHost>,
    /// Hosts that are given by address.
    pub fixed: Vec<HostConfig>,
    /// How often each name is resolved.
    pub refresh_rate: Duration,
    /// What the answers' times to live are good for.
    pub ttl: Ttl,
    /// Which addresses are asked for.
    pub family: LookupFamily,
    /// Who is asked.
    pub resolver: Resolver,
}

/// One host by name; each of its addresses becomes a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedHost {
    /// The name.
    pub name: Arc<str>,
    /// Port of all its addresses.
    pub port: u16,
    /// Name for `auto_host_rewrite`.
    pub hostname: Option<Arc<str>>,
    /// Of each address.
    pub weight: HostWeight,
    /// Of each address.
    pub metadata: LbMetadata,
    /// Whether it is spoken to in clear text, whatever its cluster does.
    pub clear_text: bool,
}

/// What times to live are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ttl {
    /// Names are resolved every `refresh_rate`.
    #[default]
    Ignore,
    /// Names are resolved when an answer has run out.
    Respect,
}

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LookupFamily {
    /// IPv4.
    #[default]
    V4Only,
    /// IPv6.
    V6Only,
}

/// Who resolves names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolver {
    /// Those that a file in the format of `/etc/resolv.conf` names.
    File {
        /// The file.
        path: PathBuf,
        /// Instead of 53.
        port: Option<u16>,
    },
    /// These.
    Servers(ResolverServers),
}

/// `dns_resolvers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolverServers {
    /// Asked in this order.
    pub servers: Vec<IpAddr>,
    /// Their port.
    pub port: u16,
    /// Domains that are tried behind short names.
    pub search: Vec<String>,
    /// A name with this many dots is tried as it is first.
    pub ndots: usize,
    /// For one question to one server.
    pub timeout: Duration,
    /// Questions before one gives up.
    pub attempts: usize,
}

impl ResolverServers {
    /// Where DNS servers listen.
    pub const DEFAULT_PORT: u16 = 53;
    /// As in `resolv.conf`.
    pub const DEFAULT_NDOTS: usize = 1;
    /// As in `resolv.conf`.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
    /// As in `resolv.conf`.
    pub const DEFAULT_ATTEMPTS: usize = 2;
}

impl DnsConfig {
    /// Default for `dns_refresh_rate`, as in MOSN and Envoy.
    pub const DEFAULT_REFRESH: Duration = Duration::from_secs(5);

    /// `names` with defaults.
    pub fn new(names: Vec<NamedHost>) -> Self {
        DnsConfig {
            names,
            fixed: Vec::new(),
            refresh_rate: Self::DEFAULT_REFRESH,
            ttl: Ttl::default(),
            family: LookupFamily::default(),
            resolver: Resolver::File { path: PathBuf::from("/etc/resolv.conf"), port: None },
        }
    }
}
