//! Names for hosts, and which context serves a name.

use std::fmt;
use std::net::IpAddr;

use rustls::pki_types::{DnsName, ServerName};

use crate::config::PeerName;

impl PeerName {
    /// A name of DNS or an address, with or without brackets.
    pub fn parse(text: &str) -> Option<PeerName> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Some(PeerName::Address(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        DnsName::try_from(name.as_str()).ok()?;
        Some(PeerName::Dns(name.into()))
    }

    pub(crate) fn rustls(&self) -> Option<ServerName<'static>> {
        match self {
            PeerName::Dns(name) => DnsName::try_from(name.to_string()).ok().map(ServerName::DnsName),
            PeerName::Address(address) => Some(ServerName::IpAddress((*address).into())),
        }
    }
}

/// As [`PeerName::parse`] takes it.
impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerName::Dns(name) => f.write_str(name),
            PeerName::Address(address) => address.fmt(f),
        }
    }
}

/// What a context serves: a name, or all names one label below another.
pub(crate) fn is_servable(name: &str) -> bool {
    let rest = name.strip_prefix("*.").unwrap_or(name);
    DnsName::try_from(rest).is_ok()
}

/// The wildcard that is for `name`: its first label is replaced.
pub(crate) fn wildcard_of(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent).filter(|parent| !parent.is_empty())
}
