//! Addresses of listeners, hosts and peers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Where a listener listens or a host is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// IP address and port.
    Tcp(SocketAddr),
    /// Unix stream socket.
    Unix(PathBuf),
}

/// What was wrong with the text of an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected IP:port, :port, localhost:port or unix:/path")]
pub struct AddressError;

impl Address {
    /// Parses `127.0.0.1:80`, `[::1]:80`, `:80` (all IPv4 addresses),
    /// `localhost:80` (127.0.0.1) and `unix:/path`. Other names are refused:
    /// resolving them would contact a server.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(AddressError) } else { Ok(Address::Unix(PathBuf::from(path))) };
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Address::Tcp(address));
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError)?;
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AddressError);
        }
        let port = port.parse().map_err(|_| AddressError)?;
        match host {
            "" => Ok(Address::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))),
            "localhost" => Ok(Address::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))),
            _ => Err(AddressError),
        }
    }

    /// The IP address and port, if it has one.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }

    /// The IP address, for TCP.
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        self.socket_addr().map(|address| address.ip())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An address together with its text, formatted once per connection or host so
/// that logs, variables and header values need no formatting per stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerText {
    address: Address,
    /// `IP:port` or `unix:/path`.
    text: Box<str>,
    /// The IP address alone, or `unix`.
    ip: Box<str>,
}

impl PeerText {
    /// Formats `address` once.
    pub fn new(address: Address) -> Self {
        let text = address.to_string().into_boxed_str();
        let ip = match &address {
            Address::Tcp(a) => a.ip().to_canonical().to_string().into_boxed_str(),
            Address::Unix(_) => Box::from("unix"),
        };
        PeerText { address, text, ip }
    }

    /// The typed address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// `IP:port` or `unix:/path`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The IP address alone, or `unix`.
    pub fn ip(&self) -> &str {
        &self.ip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_mosn_files_write() {
        for (text, shown) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            (":80", "0.0.0.0:80"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("unix:/tmp/s.sock", "unix:/tmp/s.sock"),
            ("unix:///tmp/s.sock", "unix:/tmp/s.sock"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for text in ["", "80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "a.b:80", "unix:", "1.2.3.4:+80"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
