//! Versions, ciphers and curves, by all the names that people give them.

mod groups;
mod suites;
mod versions;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use groups::{Group, Groups};
pub use suites::{Suite, Suites};
pub use versions::{Version, Versions};

/// A list without what there is no implementation of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<T> {
    /// What remains.
    pub value: T,
    /// What does not, in order.
    pub dropped: Vec<Dropped>,
}

/// Something that exists, but not here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is left out: {why}")]
pub struct Dropped {
    /// As it was written.
    pub name: String,
    /// Completes "left out: …".
    pub why: &'static str,
}

/// Why a setting of algorithms is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlgorithmError {
    /// Nobody knows it.
    #[error("expected {expected}, found {found:?}")]
    Unknown {
        /// What there is.
        expected: String,
        /// What was written.
        found: String,
    },
    /// All were left out.
    #[error("none of them is available; expected at least one of {expected}")]
    NoneLeft {
        /// What there is.
        expected: String,
    },
    /// Versions that no client may speak any more.
    #[error("{0} is not spoken, as it is not safe; expected TLS 1.2 or 1.3")]
    TooOld(Version),
    /// Nothing lies between them.
    #[error("expected a maximum not below the minimum {min}, found {max}")]
    Empty {
        /// The least.
        min: Version,
        /// The greatest.
        max: Version,
    },
    /// Ciphers of other versions.
    #[error("no cipher of {0} is among them")]
    NoSuiteFor(Version),
}

impl crate::Protocol {
    /// What rustls is to use.
    pub(crate) fn provider(&self) -> Arc<CryptoProvider> {
        let base = aws_lc_rs::default_provider();
        let versions = self.versions;
        let suites = self.suites.all().into_iter().filter(|suite| versions.contains(suite.version()));
        let cipher_suites = suites.map(Suite::rustls).collect();
        let kx_groups = self.groups.all().into_iter().map(Group::rustls).collect();
        Arc::new(CryptoProvider { cipher_suites, kx_groups, ..base })
    }

    /// Whether something remains for each version.
    pub fn check(&self) -> Result<(), AlgorithmError> {
        let suites = self.suites.all();
        let has = |version| suites.iter().any(|suite| suite.version() == version);
        match self.versions.each().find(|version| !has(*version)) {
            Some(version) => Err(AlgorithmError::NoSuiteFor(version)),
            None => Ok(()),
        }
    }

    /// Application protocols as they go over the wire.
    pub(crate) fn alpn_bytes(&self) -> Vec<Vec<u8>> {
        self.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect()
    }
}
