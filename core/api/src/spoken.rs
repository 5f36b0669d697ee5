//! Which protocol is spoken on a connection, as far as the configuration says.

use crate::Protocol;

/// What a listener, a cluster or a route says of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spoken {
    /// HTTP/1.1, and HTTP/1.0 for clients.
    Http1,
    /// HTTP/2. On clear text both sides know it beforehand (RFC 9113 section
    /// 3.3).
    Http2,
    /// Of a client's connection: what its first bytes, or ALPN, say. Towards a
    /// host: what the request came in.
    Auto,
}

impl Spoken {
    /// All of them, by the names that MOSN gives them; case counts.
    pub const NAMES: [(&'static str, Spoken); 3] =
        [("Http1", Spoken::Http1), ("Http2", Spoken::Http2), ("Auto", Spoken::Auto)];

    /// By its name.
    pub fn parse(name: &str) -> Option<Spoken> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, spoken)| *spoken)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Spoken::Http1 => "Http1",
            Spoken::Http2 => "Http2",
            Spoken::Auto => "Auto",
        }
    }

    /// Whether a request that came in `downstream` goes on over HTTP/2, where
    /// nothing is negotiated with the host.
    #[inline]
    pub fn is_http2_for(self, downstream: Protocol) -> bool {
        match self {
            Spoken::Http1 => false,
            Spoken::Http2 => true,
            Spoken::Auto => downstream == Protocol::Http2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Spoken;
    use crate::Protocol;

    #[test]
    fn names_lead_there_and_back() {
        for (name, spoken) in Spoken::NAMES {
            assert_eq!((Spoken::parse(name), spoken.name()), (Some(spoken), name));
        }
        for stranger in ["http2", "HTTP2", "h2", "", " Http2"] {
            assert_eq!(Spoken::parse(stranger), None, "{stranger:?}");
        }
    }

    #[test]
    fn auto_goes_on_as_it_came() {
        for (spoken, over_1, over_2) in
            [(Spoken::Http1, false, false), (Spoken::Http2, true, true), (Spoken::Auto, false, true)]
        {
            assert_eq!(spoken.is_http2_for(Protocol::Http10), over_1);
            assert_eq!(spoken.is_http2_for(Protocol::Http11), over_1);
            assert_eq!(spoken.is_http2_for(Protocol::Http2), over_2);
        }
    }
}
