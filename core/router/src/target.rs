//! Parts of URLs that a configuration writes: checked once, so that nothing
//! derived from them can break a message apart.

use std::fmt;

/// A text cannot stand in that part of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A path that no request can have.
    #[error("expected a path that starts with `/`, in ASCII without blanks, `?`, `#`, `\\`, `.` and `..` segments")]
    Path,
    /// A path and query that no URL can have.
    #[error("expected a path that starts with `/`, with an optional query, in ASCII without blanks")]
    RedirectPath,
    /// No authority.
    #[error("expected host or host:port")]
    Authority,
    /// No scheme.
    #[error("expected a URL scheme such as https")]
    Scheme,
    /// No redirect status.
    #[error("expected 301, 302, 303, 307 or 308")]
    RedirectCode,
}

/// A path without query that starts with `/` and has no dot segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsolutePath(Box<str>);

impl AbsolutePath {
    /// Checks `text`.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if text.starts_with('/') && is_path_text(text) && !text.contains('\\') && !has_dot_segment(text) {
            Ok(AbsolutePath(text.into()))
        } else {
            Err(TargetError::Path)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A path with an optional query and fragment, for a `Location`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectPath(Box<str>);

impl RedirectPath {
    /// Checks `text`.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(RedirectPath(text.into()))
        } else {
            Err(TargetError::RedirectPath)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the request's query may follow.
    pub(crate) fn takes_query(&self) -> bool {
        !self.0.contains(['?', '#'])
    }
}

/// Host and optional port, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority(Box<str>);

impl Authority {
    /// Checks `text` and puts it in lower case.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if is_authority(text.as_bytes()) {
            Ok(Authority(text.to_ascii_lowercase().into()))
        } else {
            Err(TargetError::Authority)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A URL scheme, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme(Box<str>);

impl Scheme {
    /// Checks `text` and puts it in lower case.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let mut bytes = text.bytes();
        let valid = bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
            && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if valid { Ok(Scheme(text.to_ascii_lowercase().into())) } else { Err(TargetError::Scheme) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Status of a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u16)]
pub enum RedirectCode {
    /// 301, for an absent or zero `response_code`.
    #[default]
    MovedPermanently = 301,
    /// 302
    Found = 302,
    /// 303
    SeeOther = 303,
    /// 307
    TemporaryRedirect = 307,
    /// 308
    PermanentRedirect = 308,
}

impl RedirectCode {
    /// The redirect with this status; 0 is the default, as in MOSN.
    pub fn parse(status: u64) -> Result<Self, TargetError> {
        Ok(match status {
            0 | 301 => RedirectCode::MovedPermanently,
            302 => RedirectCode::Found,
            303 => RedirectCode::SeeOther,
            307 => RedirectCode::TemporaryRedirect,
            308 => RedirectCode::PermanentRedirect,
            _ => return Err(TargetError::RedirectCode),
        })
    }

    /// The status code.
    pub fn status(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether every byte may stand in the path of a request.
pub(crate) fn is_path_text(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#'))
}

/// Whether a segment is `.` or `..`, plain or percent-encoded.
pub(crate) fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| {
        let mut rest = segment.as_bytes();
        let mut dots = 0;
        loop {
            rest = match rest {
                [] => return matches!(dots, 1 | 2),
                [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
                _ => return false,
            };
            dots += 1;
        }
    })
}

/// Host and optional port as RFC 3986 has them, less what no host needs: no
/// userinfo, no percent-encoding, no comma.
pub(crate) fn is_authority(text: &[u8]) -> bool {
    let (host, port) = split_port(text);
    let port_is_fine = port.is_none_or(|port| {
        (1..=5).contains(&port.len())
            && port.iter().all(u8::is_ascii_digit)
            && port.iter().fold(0_u32, |n, b| n * 10 + u32::from(b - b'0')) <= u32::from(u16::MAX)
    });
    let host_is_fine = match host {
        [b'[', inner @ .., b']'] => {
            std::str::from_utf8(inner).is_ok_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
        }
        _ => !host.is_empty() && host.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(b)),
    };
    host_is_fine && port_is_fine
}

/// Host, with its brackets if it is an IPv6 address, and what follows the
/// colon.
pub(crate) fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let host_end = if authority.first() == Some(&b'[') {
        authority.iter().position(|&b| b == b']').map_or(authority.len(), |at| at + 1)
    } else {
        memchr::memrchr(b':', authority).unwrap_or(authority.len())
    };
    match authority[host_end..].split_first() {
        Some((b':', port)) => (&authority[..host_end], Some(port)),
        Some(_) => (authority, None),
        None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_are_seen_in_every_spelling() {
        for path in ["/.", "/..", "/a/../b", "/%2e", "/a/.%2E/b", "/%2e%2E/", "/b/.."] {
            assert!(has_dot_segment(path), "{path}");
        }
        for path in ["/", "/...", "/a.b", "/.a", "/..a", "/%2f..x", "//"] {
            assert!(!has_dot_segment(path), "{path}");
        }
    }

    #[test]
    fn authorities_are_host_and_port_only() {
        for text in ["a", "A.b:80", "127.0.0.1:1", "[::1]", "[::1]:65535", "a_b-c"] {
            assert!(Authority::parse(text).is_ok(), "{text}");
        }
        assert_eq!(Authority::parse("A.b:80").unwrap().as_str(), "a.b:80");
        for text in
            ["", ":80", "a:", "a:65536", "a:8x", "a b", "u@a", "a/b", "a,b", "[::1", "[x]", "[::1]80", "a:1:2", "a\r\n"]
        {
            assert!(Authority::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_cannot_split_a_message() {
        for text in ["", "a", "/a b", "/a?b", "/a#b", "/a\r\n", "/\u{e9}", "/a/../b", "/a\\b"] {
            assert_eq!(AbsolutePath::parse(text), Err(TargetError::Path), "{text}");
        }
        assert!(RedirectPath::parse("/a?b#c").is_ok());
        assert!(RedirectPath::parse("/a\r\nx: y").is_err());
    }

    #[test]
    fn redirect_codes() {
        assert_eq!(RedirectCode::parse(0).unwrap().status(), 301);
        for status in [301, 302, 303, 307, 308] {
            assert_eq!(u64::from(RedirectCode::parse(status).unwrap().status()), status);
        }
        for status in [200, 300, 304, 305, 309, 65837] {
            assert_eq!(RedirectCode::parse(status), Err(TargetError::RedirectCode), "{status}");
        }
    }
}
