//! What a context is to be: typed settings, without what files hold.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::algorithms::{Groups, Suites, Versions};
use crate::choose::ServerContexts;
use crate::provided::Provided;
use crate::san::SanMatch;
use crate::slot::Slot;
use crate::source::Source;

/// TLS towards clients: one of the contexts of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerSettings {
    /// Who we are.
    pub identity: Identity,
    /// Names that this context serves beside those of its certificate. They may
    /// begin with `*.`.
    pub server_names: Vec<Arc<str>>,
    /// What is asked of clients.
    pub clients: ClientAuth,
    /// What both sides may agree on.
    pub protocol: Protocol,
    /// Ends a handshake in which the client offers application protocols, but
    /// none of ours. Otherwise it goes on without one.
    pub alpn_strict: bool,
    /// Whether clients may resume sessions.
    pub resumption: Resumption,
    /// What their tickets are encrypted with.
    pub tickets: TicketKeys,
}

/// TLS towards the hosts of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientSettings {
    /// The certificate that hosts may ask for.
    pub identity: Option<Identity>,
    /// Whom to believe.
    pub verify: ServerAuth,
    /// The name that is sent, and that the certificate must be for.
    pub server_name: NameRule,
    /// What both sides may agree on.
    pub protocol: Protocol,
    /// Whether sessions are resumed.
    pub resumption: Resumption,
}

impl ServerSettings {
    /// The files that a context of these settings is made of.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let trust = match &self.clients {
            ClientAuth::Verified(trust) | ClientAuth::Required(trust) => Some(trust),
            ClientAuth::None | ClientAuth::Unverified => None,
        };
        let tickets = match &self.tickets {
            TicketKeys::Shared(sources) => sources.as_slice(),
            TicketKeys::Rotated => &[],
        };
        let trust = trust.into_iter().flat_map(Trust::files);
        self.identity.files().chain(trust).chain(tickets.iter().filter_map(Source::path))
    }
}

impl ServerSettings {
    /// Who brings a part of a context of these settings.
    pub fn providers(&self) -> impl Iterator<Item = &Provided> {
        let trust = match &self.clients {
            ClientAuth::Verified(trust) | ClientAuth::Required(trust) => Some(trust),
            ClientAuth::None | ClientAuth::Unverified => None,
        };
        self.identity.chain.provided().into_iter().chain(trust.and_then(Trust::provided))
    }
}

impl ClientSettings {
    /// Who brings a part of a context of these settings.
    pub fn providers(&self) -> impl Iterator<Item = &Provided> {
        let trust = match &self.verify {
            ServerAuth::Verified(trust) => Some(trust),
            ServerAuth::Nothing => None,
        };
        let own = self.identity.as_ref().and_then(|own| own.chain.provided());
        own.into_iter().chain(trust.and_then(Trust::provided))
    }

    /// The files that a context of these settings is made of.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let trust = match &self.verify {
            ServerAuth::Verified(trust) => Some(trust),
            ServerAuth::Nothing => None,
        };
        self.identity.iter().flat_map(Identity::files).chain(trust.into_iter().flat_map(Trust::files))
    }
}

impl Identity {
    fn files(&self) -> impl Iterator<Item = &Path> {
        self.chain.path().into_iter().chain(self.key.path()).chain(self.ocsp.as_deref())
    }
}

impl Trust {
    fn provided(&self) -> Option<&Provided> {
        match &self.roots {
            Roots::Given(source) => source.provided(),
            Roots::System | Roots::Pinned => None,
        }
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        let roots = match &self.roots {
            Roots::Given(source) => source.path(),
            Roots::System | Roots::Pinned => None,
        };
        roots.into_iter().chain(self.crl.as_ref().and_then(Source::path))
    }
}

/// A certificate, its chain and its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Certificates, ours first.
    pub chain: Source,
    /// The key of the first.
    pub key: Source,
    /// The CA's word that it is not revoked, in DER.
    pub ocsp: Option<PathBuf>,
}

/// What a listener asks of its clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum ClientAuth {
    /// No certificate.
    #[default]
    None,
    /// A certificate that nobody looks at: the client shows that it has the
    /// key, and no identity comes of it.
    Unverified,
    /// A certificate, if the client has one; it must be good.
    Verified(Trust),
    /// A good certificate.
    Required(Trust),
}

/// How hosts are verified.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerAuth {
    /// Not at all: anybody in between can read and change everything.
    Nothing,
    /// By certificates and names.
    Verified(Trust),
}

/// What makes a certificate good.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Trust {
    /// Certificates that end a chain.
    pub roots: Roots,
    /// Lists of revoked certificates in PEM or DER. Once there are any, each
    /// certificate of a chain must be covered by one that has not expired.
    pub crl: Option<Source>,
    /// Only the last certificate must be covered.
    pub crl_leaf_only: bool,
    /// One of these must fit, if there are any. For hosts of a cluster they go
    /// before the server name.
    pub names: Vec<SanMatch>,
    /// One of these must fit, if there are any.
    pub pins: Pins,
}

/// Certificates that end a chain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Roots {
    /// The system's.
    #[default]
    System,
    /// These.
    Given(Source),
    /// None: pins alone say whom to believe.
    Pinned,
}

/// SHA-256 hashes of whom to believe.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Pins {
    /// Of public keys (SubjectPublicKeyInfo in DER).
    pub keys: Vec<[u8; 32]>,
    /// Of certificates in DER.
    pub certificates: Vec<[u8; 32]>,
}

impl Pins {
    /// Adds a public key by its hash in base64, as Envoy's
    /// `verify_certificate_spki` writes it. `false`: it is none.
    pub fn add_key(&mut self, text: &str) -> bool {
        let hash = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        hash.map(|hash| self.keys.push(hash)).is_some()
    }

    /// Adds a certificate by its hash in hexadecimal, with or without colons.
    /// `false`: it is none.
    pub fn add_certificate(&mut self, text: &str) -> bool {
        let digits: Option<Vec<u8>> = text.chars().filter(|c| *c != ':').map(|c| Some(c.to_digit(16)? as u8)).collect();
        let Some(digits) = digits.filter(|digits| digits.len() == 64) else { return false };
        let mut hash = [0; 32];
        hash.iter_mut().zip(digits.chunks(2)).for_each(|(byte, pair)| *byte = pair[0] << 4 | pair[1]);
        self.certificates.push(hash);
        true
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.certificates.is_empty()
    }
}

/// The name of a host of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum NameRule {
    /// Of its host entry: its name, else its IP address.
    #[default]
    Host,
    /// This name or address.
    Fixed(Arc<str>),
    /// What each request names as its host.
    Request {
        /// For what no request is, as checks of hosts; `None`: of its host entry.
        otherwise: Option<Arc<str>>,
    },
}

/// What both sides may agree on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Protocol {
    /// Of TLS.
    pub versions: Versions,
    /// Ciphers, the preferred first.
    pub suites: Suites,
    /// Curves and key exchanges, the preferred first.
    pub groups: Groups,
    /// Application protocols, the preferred first; empty: none are spoken of.
    pub alpn: Vec<Arc<str>>,
}

/// Whether sessions are resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Resumption {
    /// They are.
    #[default]
    On,
    /// Every connection has a whole handshake.
    Off,
}

/// Where the keys of tickets come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum TicketKeys {
    /// Made here, and replaced after some hours.
    #[default]
    Rotated,
    /// Derived from these secrets, the first for new tickets: several processes
    /// resume each other's sessions.
    Shared(Vec<Source>),
}

/// TLS of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    /// For its clients. Others take their place when files change.
    pub contexts: Arc<Slot<ServerContexts>>,
    /// What becomes of clients that do not speak TLS.
    pub clear_text: ClearText,
    /// Of each handshake.
    pub limits: Limits,
}

/// What becomes of clients that do not speak TLS where it is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClearText {
    /// They are turned away.
    #[default]
    Refused,
    /// They are served: one port takes both.
    Served,
}

/// Bounds on what a peer may make us hold and do. The first is kept by the
/// session, the others by whoever has the sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the peer's handshake.
    pub handshake_bytes: usize,
    /// Time for it.
    pub handshake_timeout: Duration,
    /// Handshakes with clients that have begun, on each worker.
    pub handshakes: usize,
    /// Others that wait for one of them to end.
    pub waiting: usize,
    /// Steps of handshakes in one turn of a worker's loop.
    pub steps: usize,
}

impl Default for Limits {
    /// A chain with several RSA certificates is some 10 KiB; a handshake under
    /// way holds about as much. A step is a signature at most, and takes from a
    /// tenth of a millisecond to one.
    fn default() -> Self {
        Limits {
            handshake_bytes: 64 * 1024,
            handshake_timeout: Duration::from_secs(10),
            handshakes: 4096,
            waiting: 4096,
            steps: 2,
        }
    }
}

/// A name as certificates have them: of DNS, or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PeerName {
    /// Sent to the host, and verified.
    Dns(Arc<str>),
    /// Verified; addresses are never sent.
    Address(IpAddr),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read() {
        let mut pins = Pins::default();
        assert!(pins.add_key("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="));
        assert_eq!(pins.keys[0][..3], [0, 1, 2]);
        assert_eq!(pins.keys[0][31], 31);
        for bad in
            ["", "AAEC", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "!AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]
        {
            assert!(!pins.add_key(bad), "{bad}");
        }
        let hash = "00:FF:".to_owned() + &"ab".repeat(30);
        assert!(pins.add_certificate(&hash));
        assert_eq!(pins.certificates[0][..3], [0, 255, 0xab]);
        for bad in ["", "00", &"ag".repeat(32), &"a".repeat(63)] {
            assert!(!pins.add_certificate(bad), "{bad}");
        }
    }
}
