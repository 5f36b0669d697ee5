//! Who may change something.

use std::net::IpAddr;

use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};

use crate::AdminToken;

/// Where a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Connected to the Unix socket.
    Unix,
    /// Connected from this address.
    Ip(IpAddr),
}

/// Why a caller may not change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the token is wrong")]
    WrongToken,
    #[error("changes are accepted from loopback or a Unix socket only; set admin.token and send it as a Bearer token")]
    NotLocal,
    #[error("changes are not accepted from web pages (the request has an Origin)")]
    FromWebPage,
    #[error("changes need a Host that is an IP address or localhost")]
    ForeignHost,
}

/// Whether a request with `headers` from `peer` may change something: with the
/// token from anywhere, without one from this machine alone.
///
/// A browser on this machine is not this machine's user: pages from elsewhere
/// can send requests to loopback, directly (they carry Origin) or by making
/// their own name point to it (Host is that name).
pub(crate) fn authorize(peer: Peer, headers: &HeaderMap, token: Option<&AdminToken>) -> Result<(), Refusal> {
    if let (Some(token), Some(sent)) = (token, headers.get(AUTHORIZATION)) {
        let is_right = bearer(sent.as_bytes()).is_some_and(|sent| token.matches(sent));
        return if is_right { Ok(()) } else { Err(Refusal::WrongToken) };
    }
    if let Peer::Ip(ip) = peer {
        if !ip.to_canonical().is_loopback() {
            return Err(Refusal::NotLocal);
        }
        let mut hosts = headers.get_all(HOST).iter();
        if !hosts.next().is_none_or(|host| is_local_name(host.as_bytes())) || hosts.next().is_some() {
            return Err(Refusal::ForeignHost);
        }
    }
    if headers.contains_key(ORIGIN) { Err(Refusal::FromWebPage) } else { Ok(()) }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token.trim_ascii())
}

fn is_local_name(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    if let Some(v6) = host.strip_prefix('[') {
        return v6.split_once(']').is_some_and(|(ip, _)| ip.parse::<IpAddr>().is_ok());
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn ask(peer: &str, headers: &[(HeaderName, &str)], token: Option<&str>) -> Result<(), Refusal> {
        let peer = peer.parse().map_or(Peer::Unix, Peer::Ip);
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect();
        let token = token.map(|token| AdminToken::new(token).unwrap());
        authorize(peer, &headers, token.as_ref())
    }

    #[test]
    fn this_machine_needs_no_token_and_others_do() {
        for local in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "unix"] {
            assert_eq!(ask(local, &[], None), Ok(()), "{local}");
            assert_eq!(ask(local, &[], Some("t")), Ok(()), "{local}");
        }
        for remote in ["10.0.0.1", "0.0.0.0", "2001:db8::1", "::ffff:10.0.0.1"] {
            assert_eq!(ask(remote, &[], None), Err(Refusal::NotLocal), "{remote}");
            assert_eq!(ask(remote, &[], Some("t")), Err(Refusal::NotLocal), "{remote}");
            // Without a configured token, any sent one counts for nothing.
            assert_eq!(ask(remote, &[(AUTHORIZATION, "Bearer t")], None), Err(Refusal::NotLocal), "{remote}");
            assert_eq!(ask(remote, &[(AUTHORIZATION, "Bearer t")], Some("t")), Ok(()), "{remote}");
            assert_eq!(ask(remote, &[(AUTHORIZATION, "bearer  t ")], Some("t")), Ok(()), "{remote}");
        }
    }

    #[test]
    fn a_wrong_token_is_refused_everywhere() {
        for sent in ["Bearer x", "Bearer", "Bearer ", "Basic t", "t", ""] {
            for peer in ["127.0.0.1", "10.0.0.1"] {
                assert_eq!(ask(peer, &[(AUTHORIZATION, sent)], Some("t")), Err(Refusal::WrongToken), "{sent}");
            }
        }
    }

    #[test]
    fn web_pages_are_kept_out() {
        let origin = (ORIGIN, "http://evil.example");
        assert_eq!(ask("127.0.0.1", std::slice::from_ref(&origin), None), Err(Refusal::FromWebPage));
        assert_eq!(ask("unix", std::slice::from_ref(&origin), None), Err(Refusal::FromWebPage));
        assert_eq!(ask("127.0.0.1", &[origin, (AUTHORIZATION, "Bearer t")], Some("t")), Ok(()));
        for host in ["evil.example", "evil.example:80", "localhost.evil.example", "", "[::1", "127.0.0.1.nip.io"] {
            assert_eq!(ask("127.0.0.1", &[(HOST, host)], None), Err(Refusal::ForeignHost), "{host}");
        }
        for host in ["127.0.0.1:34901", "localhost", "LOCALHOST:1", "[::1]:80", "10.0.0.9"] {
            assert_eq!(ask("127.0.0.1", &[(HOST, host)], None), Ok(()), "{host}");
        }
        let two = [(HOST, "localhost"), (HOST, "localhost")];
        assert_eq!(ask("127.0.0.1", &two, None), Err(Refusal::ForeignHost));
        // curl's --unix-socket sends whatever name the URL has.
        assert_eq!(ask("unix", &[(HOST, "admin")], None), Ok(()));
    }
}
