//! Asking for, and switching to, another protocol on the same connection (RFC
//! 9110 section 7.8).

use sidegate_api::is_token;

/// Whether a request asks to switch to another protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Upgrade {
    /// It does not, or in a way that is not passed on.
    #[default]
    None,
    /// It does, and the head's one `upgrade` field names the protocol.
    Asked,
}

/// A protocol that connections may switch to: `token`, or `token/version`.
///
/// Never `h2c` or `HTTP/…`: requests inside would pass by filters and routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeProtocol(Box<str>);

impl UpgradeProtocol {
    /// RFC 6455.
    pub const WEBSOCKET: &'static str = "websocket";

    /// `None` if `name` is no such protocol.
    pub fn parse(name: &str) -> Option<Self> {
        is_upgrade_protocol(name.as_bytes()).then(|| UpgradeProtocol(name.into()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an `Upgrade` field names it; case does not matter.
    pub fn is(&self, field: &[u8]) -> bool {
        self.0.as_bytes().eq_ignore_ascii_case(field)
    }
}

fn is_upgrade_protocol(name: &[u8]) -> bool {
    let (protocol, version) = match memchr::memchr(b'/', name) {
        Some(slash) => (&name[..slash], Some(&name[slash + 1..])),
        None => (name, None),
    };
    let is_http = protocol.eq_ignore_ascii_case(b"h2c") || protocol.eq_ignore_ascii_case(b"http");
    is_token(protocol) && version.is_none_or(is_token) && !is_http
}

/// The `Upgrade` fields of a head, while it is not known whether they count.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum UpgradeField<'a> {
    #[default]
    Absent,
    Once(&'a [u8]),
    /// Who offers a choice can do without: no client of a tunnel does, and
    /// one protocol is what both sides cannot understand differently.
    Repeated,
}

impl<'a> UpgradeField<'a> {
    pub(super) fn note(&mut self, value: &'a [u8]) {
        *self = match self {
            UpgradeField::Absent => UpgradeField::Once(value),
            UpgradeField::Once(_) | UpgradeField::Repeated => UpgradeField::Repeated,
        };
    }

    /// The one protocol that is named.
    pub(super) fn protocol(self) -> Option<&'a [u8]> {
        match self {
            UpgradeField::Once(value) if is_upgrade_protocol(value) => Some(value),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_protocol_that_is_not_http() {
        for good in ["websocket", "WebSocket", "foo/1.2", "tcp"] {
            assert!(is_upgrade_protocol(good.as_bytes()), "{good}");
        }
        for bad in ["", "h2c", "H2C", "HTTP/2.0", "http", "a, b", "a b", "a/", "/1", "a/1/2", "a\0"] {
            assert!(!is_upgrade_protocol(bad.as_bytes()), "{bad}");
        }
    }
}
