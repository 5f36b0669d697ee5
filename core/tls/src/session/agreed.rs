//! What both sides of a session agreed on.

use rustls::pki_types::ServerName;
use rustls::{HandshakeKind, ProtocolVersion};

use super::{Session, Stage};

/// What both sides agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed<'a> {
    /// `TLSv1.3`, as logs of other proxies write it.
    pub version: &'static str,
    /// As in the IANA registry.
    pub cipher: &'static str,
    /// As in the IANA registry; empty where it is not known, as in a session
    /// of TLS 1.2 that was resumed.
    pub group: &'static str,
    /// The application protocol.
    pub alpn: Option<&'a [u8]>,
    /// The name that the client asked for.
    pub server_name: Option<&'a str>,
    /// Whether a session was resumed.
    pub resumed: bool,
    /// Whether the peer has shown a certificate, be it good or not.
    pub certificate: bool,
}

impl Session {
    /// What both sides agreed on; `None` until the handshake is over.
    pub fn agreed(&self) -> Option<Agreed<'_>> {
        if self.is_handshaking() {
            return None;
        }
        let (common, server_name): (&rustls::CommonState, _) = match &self.stage {
            Stage::Server(engine, _, name) => (engine.common(), name.as_deref()),
            Stage::Client(engine, _, ServerName::DnsName(name)) => (engine.common(), Some(name.as_ref())),
            Stage::Client(engine, ..) => (engine.common(), None),
            _ => return None,
        };
        Some(Agreed {
            version: match common.protocol_version()? {
                ProtocolVersion::TLSv1_3 => "TLSv1.3",
                _ => "TLSv1.2",
            },
            cipher: cipher_name(common.negotiated_cipher_suite()?.suite()),
            group: common.negotiated_key_exchange_group().and_then(|group| group.name().as_str()).unwrap_or_default(),
            alpn: common.alpn_protocol(),
            server_name,
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
            certificate: common.peer_certificates().is_some_and(|chain| !chain.is_empty()),
        })
    }
}

/// As in the IANA registry; rustls calls those of TLS 1.3 otherwise.
fn cipher_name(suite: rustls::CipherSuite) -> &'static str {
    let name = suite.as_str().unwrap_or_default();
    match name {
        "TLS13_AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "TLS13_AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "TLS13_CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        other => other,
    }
}
