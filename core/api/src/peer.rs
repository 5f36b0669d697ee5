//! Who the other side of a TLS connection is.

use std::fmt;

/// What a certificate says of its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerFact {
    /// As in RFC 2253: `CN=client,O=Example`.
    Subject,
    /// As in RFC 2253.
    Issuer,
    /// Hexadecimal, lower case.
    Serial,
    /// SHA-256 of the certificate, hexadecimal, lower case.
    Sha256,
    /// SHA-256 of the public key (SubjectPublicKeyInfo), base64.
    KeySha256,
    /// URIs among the alternative names, as a list.
    Uris,
    /// Names of DNS among them, as a list.
    DnsNames,
    /// IP addresses among them, as a list.
    Addresses,
    /// Mail addresses among them, as a list.
    Emails,
    /// The identity of SPIFFE: the only URI, if it is one.
    SpiffeId,
    /// From when on it is good: RFC 3339, UTC.
    NotBefore,
    /// Until when: RFC 3339, UTC.
    NotAfter,
    /// The certificate in PEM, lines and all.
    Pem,
    /// The same in one word, with everything escaped that a URL does not take.
    PemUrl,
}

impl PeerFact {
    /// How many there are.
    pub const COUNT: usize = PeerFact::PemUrl as usize + 1;
}

/// Who the other side is, as its certificate says; there is one only where the
/// certificate was found good.
pub trait PeerIdentity: fmt::Debug + Send + Sync {
    /// What the certificate says of `fact`; `None`: nothing. Worked out when
    /// somebody asks for the first time.
    fn get(&self, fact: PeerFact) -> Option<&str>;

    /// Each name of a list by itself, in order; of anything else, the one there
    /// is.
    fn each(&self, fact: PeerFact, with: &mut dyn FnMut(&str));
}
