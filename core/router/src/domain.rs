//! Domains of virtual hosts.

use std::fmt;

use crate::target::{is_authority, split_port};

/// One entry of `domains`, in lower case.
///
/// A domain without a port, or with `:*`, takes requests to any port (in MOSN
/// only `:*` does, and a bare host takes only requests that name no port). A
/// dot at the end of a host names the same host in DNS: it does not count.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Domain {
    /// `*`
    Any,
    /// `host` or `host:port`
    Exact {
        /// The whole host.
        host: Box<str>,
        /// The port; `None`: any.
        port: Option<u16>,
    },
    /// `*.suffix`, `*suffix` or `*:port`
    Suffix {
        /// What the host ends with, at least one byte before it; may be empty
        /// if there is a port.
        suffix: Box<str>,
        /// The port; `None`: any.
        port: Option<u16>,
    },
}

/// A text is no domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected host, host:port, *.suffix, *.suffix:port or *")]
pub struct DomainError;

impl Domain {
    /// Parses a domain; case does not matter.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let text = text.to_ascii_lowercase();
        let named = text.strip_suffix(":*").unwrap_or(&text);
        let (host, port) = split(named).ok_or(DomainError)?;
        let host = without_root(host);
        match host.strip_prefix('*') {
            Some("") if port.is_none() => Ok(Domain::Any),
            Some(suffix) if suffix.is_empty() || is_host(suffix) => Ok(Domain::Suffix { suffix: suffix.into(), port }),
            None if is_host(host) => Ok(Domain::Exact { host: host.into(), port }),
            _ => Err(DomainError),
        }
    }
}

/// Host and port of an authority or domain; an empty port is none. `None` if
/// the port is no number.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = split_port(text.as_bytes());
    let port = match port {
        None | Some(b"") => None,
        Some(port) => Some(parse_port(port)?),
    };
    Some((text.get(..host.len())?, port))
}

/// `host` without the dot of the DNS root; one more would make another name.
fn without_root(host: &str) -> &str {
    host.strip_suffix('.').filter(|rest| !matches!(*rest, "" | "*")).unwrap_or(host)
}

/// Digits alone: `u16::from_str` would take a sign.
pub(crate) fn parse_port(port: &[u8]) -> Option<u16> {
    if !port.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(port).ok()?.parse().ok()
}

fn is_host(text: &str) -> bool {
    is_authority(text.as_bytes()) && !text.contains('*') && !text.contains("..") && !text.ends_with('.')
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (star, host, port) = match self {
            Domain::Any => return f.write_str("*"),
            Domain::Exact { host, port } => ("", host, port),
            Domain::Suffix { suffix, port } => ("*", suffix, port),
        };
        write!(f, "{star}{host}")?;
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_typed_and_lower_case() {
        for (text, shown) in [
            ("*", "*"),
            ("*:*", "*"),
            ("WWW.A.com", "www.a.com"),
            ("a.com:8080", "a.com:8080"),
            ("a.com:*", "a.com"),
            ("*.A.com", "*.a.com"),
            ("*.a.com:80", "*.a.com:80"),
            ("*-x.a.com", "*-x.a.com"),
            ("*:80", "*:80"),
            ("[::1]:80", "[::1]:80"),
            ("[::1]", "[::1]"),
            ("a.com.", "a.com"),
            ("a.com.:80", "a.com:80"),
            ("*.a.com.", "*.a.com"),
        ] {
            assert_eq!(Domain::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for text in [
            "",
            ":80",
            "a.*.com",
            "a*",
            "**",
            "a.com:x",
            "a.com:70000",
            "a.com:+80",
            "http://a.com",
            "a b",
            "a/b",
            "a.com..",
            "a..com",
            "*..com",
        ] {
            assert!(Domain::parse(text).is_err(), "{text}");
        }
    }
}
