//! Curves and other ways to agree on a key.

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::kx_group;

use super::{AlgorithmError, Dropped, Parsed};

/// A way to agree on a key that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// X25519 together with ML-KEM, which a quantum computer does not break.
    X25519MlKem768,
    /// P-256 together with ML-KEM.
    P256MlKem768,
    /// Curve25519.
    X25519,
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
}

/// Groups, the preferred first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Groups {
    /// Empty: the default ones.
    chosen: Vec<Group>,
}

/// Without the hybrid of P-256, which hardly anybody offers.
const DEFAULT: [Group; 4] = [Group::X25519MlKem768, Group::X25519, Group::P256, Group::P384];

const NAMES: [(&str, Group); 12] = [
    ("x25519mlkem768", Group::X25519MlKem768),
    ("secp256r1mlkem768", Group::P256MlKem768),
    ("p256mlkem768", Group::P256MlKem768),
    ("x25519", Group::X25519),
    ("curve25519", Group::X25519),
    ("p256", Group::P256),
    ("secp256r1", Group::P256),
    ("prime256v1", Group::P256),
    ("curvep256", Group::P256),
    ("p384", Group::P384),
    ("secp384r1", Group::P384),
    ("curvep384", Group::P384),
];

const ELSEWHERE: [&str; 11] = [
    "p521",
    "secp521r1",
    "curvep521",
    "p224",
    "secp224r1",
    "x448",
    "x25519kyber768draft00",
    "sm2",
    "curvesm2",
    "ffdhe2048",
    "ffdhe3072",
];

impl Group {
    pub(crate) fn rustls(self) -> &'static dyn SupportedKxGroup {
        match self {
            Group::X25519MlKem768 => kx_group::X25519MLKEM768,
            Group::P256MlKem768 => kx_group::SECP256R1MLKEM768,
            Group::X25519 => kx_group::X25519,
            Group::P256 => kx_group::SECP256R1,
            Group::P384 => kx_group::SECP384R1,
        }
    }
}

impl Groups {
    /// A list separated by commas or colons; the names of MOSN, Envoy, Go and
    /// OpenSSL, in any case.
    pub fn parse(list: &str) -> Result<Parsed<Groups>, AlgorithmError> {
        let mut dropped = Vec::new();
        let mut chosen = Vec::new();
        for name in list.split([',', ':', ' ']).filter(|name| !name.is_empty()) {
            let plain = name.to_ascii_lowercase().replace(['-', '_'], "");
            match NAMES.iter().find(|(known, _)| *known == plain) {
                Some((_, group)) if chosen.contains(group) => {}
                Some((_, group)) => chosen.push(*group),
                None if ELSEWHERE.contains(&plain.as_str()) => {
                    dropped.push(Dropped { name: name.to_owned(), why: "the library in use does not have it" });
                }
                None => return Err(AlgorithmError::Unknown { expected: expected(), found: name.to_owned() }),
            }
        }
        if chosen.is_empty() && !dropped.is_empty() {
            return Err(AlgorithmError::NoneLeft { expected: expected() });
        }
        Ok(Parsed { value: Groups { chosen }, dropped })
    }

    pub(crate) fn all(&self) -> Vec<Group> {
        match self.chosen.is_empty() {
            true => DEFAULT.to_vec(),
            false => self.chosen.clone(),
        }
    }
}

fn expected() -> String {
    "X25519MLKEM768, SecP256r1MLKEM768, X25519, P256, P384".to_owned()
}
