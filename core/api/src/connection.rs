//! What is known of a client's connection.

use std::sync::Arc;

use crate::{PeerIdentity, PeerText, Protocol};

/// What streams of one downstream connection share.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// Number of the connection, unique in the process.
    pub id: u64,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// The client.
    pub remote: PeerText,
    /// Our end.
    pub local: PeerText,
    /// Protocol spoken with the client; HTTP/1.0 clients are known per stream.
    pub protocol: Protocol,
    /// What is known of its TLS; `None`: clear text.
    pub tls: Option<Box<TlsInfo>>,
}

impl ConnectionInfo {
    /// Of requests that come over it.
    pub fn scheme(&self) -> &'static str {
        match self.tls {
            None => "http",
            Some(_) => "https",
        }
    }
}

/// What is known of the TLS of a connection.
#[derive(Debug, Clone)]
pub struct TlsInfo {
    /// What both sides agreed on.
    pub agreed: TlsAgreed,
    /// What the client asked for; empty: for no name.
    pub server_name: String,
    /// Who the client is, if its certificate was found good.
    pub peer: Option<Arc<dyn PeerIdentity>>,
    /// Who we are to the client.
    pub own: Arc<dyn PeerIdentity>,
}

/// What both sides of a session of TLS agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsAgreed {
    /// `TLSv1.3`
    pub version: &'static str,
    /// As in the IANA registry.
    pub cipher: &'static str,
    /// The key exchange, as in the IANA registry; empty where there was none,
    /// as in a session of TLS 1.2 that was resumed.
    pub group: &'static str,
    /// `h2` or `http/1.1`; empty: none was agreed on.
    pub alpn: &'static str,
    /// Whether a session was resumed.
    pub resumed: bool,
}

/// One of the things that both sides agree on, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFact {
    /// [`TlsAgreed::version`]
    Version,
    /// [`TlsAgreed::cipher`]
    Cipher,
    /// [`TlsAgreed::group`]
    Group,
    /// [`TlsAgreed::alpn`]
    Alpn,
    /// [`TlsAgreed::resumed`]
    Resumed,
}

impl TlsFact {
    /// Names of the connection with the client; with `upstream_` before them,
    /// of the one with the host.
    pub const NAMES: [(&'static str, TlsFact); 6] = [
        ("tls_version", TlsFact::Version),
        ("tls_cipher", TlsFact::Cipher),
        ("tls_group", TlsFact::Group),
        ("tls_alpn", TlsFact::Alpn),
        ("tls_resumed", TlsFact::Resumed),
        ("tls_session_reused", TlsFact::Resumed),
    ];

    /// The one called `name`.
    pub fn named(name: &str) -> Option<TlsFact> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, fact)| *fact)
    }

    /// As a word, if there is one.
    pub fn of(self, agreed: &TlsAgreed) -> Option<&'static str> {
        let word = match self {
            TlsFact::Version => agreed.version,
            TlsFact::Cipher => agreed.cipher,
            TlsFact::Group => agreed.group,
            TlsFact::Alpn => agreed.alpn,
            TlsFact::Resumed if agreed.resumed => "true",
            TlsFact::Resumed => "false",
        };
        (!word.is_empty()).then_some(word)
    }
}
