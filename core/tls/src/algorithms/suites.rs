//! Ciphers.

use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::cipher_suite as suite;

use super::{AlgorithmError, Dropped, Parsed, Version};

/// A cipher suite there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Suite {
    place: usize,
}

/// Cipher suites, the preferred first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Suites {
    /// Empty: the default ones.
    chosen: Vec<Suite>,
}

struct Entry {
    /// As OpenSSL says it.
    openssl: &'static str,
    version: Version,
    suite: SupportedCipherSuite,
}

const fn entry(openssl: &'static str, version: Version, suite: SupportedCipherSuite) -> Entry {
    Entry { openssl, version, suite }
}

/// The default order. AES with 128 bits is first: as safe as anybody needs, and
/// the handshake takes a seventh less time than with 256 bits and SHA-384.
static SUITES: [Entry; 9] = [
    entry("TLS_AES_128_GCM_SHA256", Version::Tls13, suite::TLS13_AES_128_GCM_SHA256),
    entry("TLS_AES_256_GCM_SHA384", Version::Tls13, suite::TLS13_AES_256_GCM_SHA384),
    entry("TLS_CHACHA20_POLY1305_SHA256", Version::Tls13, suite::TLS13_CHACHA20_POLY1305_SHA256),
    entry("ECDHE-ECDSA-AES128-GCM-SHA256", Version::Tls12, suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    entry("ECDHE-RSA-AES128-GCM-SHA256", Version::Tls12, suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    entry("ECDHE-ECDSA-AES256-GCM-SHA384", Version::Tls12, suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    entry("ECDHE-RSA-AES256-GCM-SHA384", Version::Tls12, suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    entry("ECDHE-ECDSA-CHACHA20-POLY1305", Version::Tls12, suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    entry("ECDHE-RSA-CHACHA20-POLY1305", Version::Tls12, suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Parts of names of ciphers that others have.
const ELSEWHERE: [&str; 11] = ["CBC", "3DES", "DES-", "RC4", "SM4", "CAMELLIA", "ARIA", "CCM", "PSK", "SEED", "NULL"];

impl Suite {
    /// The suite of this name: of OpenSSL, of the IANA registry, or as MOSN
    /// writes it.
    fn by_name(name: &str) -> Option<Suite> {
        let plain = plain(name);
        SUITES.iter().position(|entry| self::plain(entry.openssl) == plain).map(|place| Suite { place })
    }

    /// The version it belongs to.
    pub fn version(self) -> Version {
        SUITES[self.place].version
    }

    pub(crate) fn rustls(self) -> SupportedCipherSuite {
        SUITES[self.place].suite
    }

    fn all() -> impl Iterator<Item = Suite> {
        (0..SUITES.len()).map(|place| Suite { place })
    }
}

impl Suites {
    /// A list separated by colons or commas; brackets and bars of Envoy's groups
    /// of equals count as such. A list without ciphers of TLS 1.3 leaves those
    /// as they are, as in MOSN and Envoy, where they cannot be chosen.
    pub fn parse(list: &str) -> Result<Parsed<Suites>, AlgorithmError> {
        let mut dropped = Vec::new();
        let mut chosen: Vec<Suite> = Vec::new();
        let names = list.split([':', ',', '|', '[', ']', ' ']).filter(|name| !name.is_empty());
        for name in names {
            match Suite::by_name(name) {
                Some(suite) if chosen.contains(&suite) => {}
                Some(suite) => chosen.push(suite),
                None if is_elsewhere(name) => dropped.push(Dropped {
                    name: name.to_owned(),
                    why: "ciphers without forward secrecy or authenticated encryption are not there",
                }),
                None => return Err(AlgorithmError::Unknown { expected: expected(), found: name.to_owned() }),
            }
        }
        if chosen.is_empty() && !dropped.is_empty() {
            return Err(AlgorithmError::NoneLeft { expected: expected() });
        }
        if !chosen.is_empty() && chosen.iter().all(|suite| suite.version() == Version::Tls12) {
            chosen.splice(0..0, Suite::all().filter(|suite| suite.version() == Version::Tls13));
        }
        Ok(Parsed { value: Suites { chosen }, dropped })
    }

    pub(crate) fn all(&self) -> Vec<Suite> {
        match self.chosen.is_empty() {
            true => Suite::all().collect(),
            false => self.chosen.clone(),
        }
    }
}

/// Whether other libraries have a cipher of this name.
fn is_elsewhere(name: &str) -> bool {
    let dashed = name.to_ascii_uppercase().replace('_', "-");
    let dashed = dashed.strip_prefix("TLS-").unwrap_or(&dashed);
    let cbc = dashed.contains("AES") && dashed.contains("-SHA") && !dashed.contains("GCM");
    let old_exchange = ["RSA-", "AES128-", "AES256-", "DHE-", "ADH-", "DH-", "ECDH-"];
    cbc || ELSEWHERE.iter().any(|part| dashed.contains(part)) || old_exchange.iter().any(|p| dashed.starts_with(p))
}

/// A name without what its spellings differ in. The prefix of TLS 1.3 stays:
/// without it OpenSSL's `AES128-GCM-SHA256` is another cipher.
fn plain(name: &str) -> String {
    let dashed = name.to_ascii_uppercase().replace('_', "-").replace("TLS13-", "TLS-");
    let start = dashed.strip_prefix("TLS-").filter(|rest| rest.starts_with("ECDHE-")).unwrap_or(&dashed);
    let plain = start.replace("WITH-", "").replace('-', "");
    match plain.strip_suffix("POLY1305SHA256") {
        Some(start) => format!("{start}POLY1305"),
        None => plain,
    }
}

fn expected() -> String {
    SUITES.iter().map(|entry| entry.openssl).collect::<Vec<_>>().join(", ")
}
