//! Whether a peer's certificate is good.

mod client;
mod server;

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::{CertificateError, OtherError, RootCertStore};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::{Pins, Roots, Trust};
use crate::context::{ContextError, Part};
use crate::digest::{Digest, sha256};
use crate::holdings::{HeldRoots, HeldTrust};
use crate::pem;
use crate::san::{self, SanMatch};
use crate::source::Materials;

pub(crate) use client::ClientVerifier;
pub(crate) use server::ServerVerifier;

/// A [`Trust`] with what its files hold.
pub(crate) struct LoadedTrust {
    /// `None`: pins alone decide.
    pub roots: Option<Arc<RootCertStore>>,
    pub revocations: Vec<CertificateRevocationListDer<'static>>,
    pub leaf_only: bool,
    pub checks: Checks,
    pub held: HeldTrust,
}

/// What a certificate must be beside well signed.
#[derive(Debug, Clone)]
pub(crate) struct Checks {
    names: Vec<SanMatch>,
    pins: Pins,
}

/// How a peer's certificate is looked at.
#[derive(Debug)]
enum Way<C> {
    /// Any will do, and says nothing of who the peer is.
    Anybody,
    /// It has to lead to a root that `C` knows.
    Chain(C, Checks),
    /// It has to be one of those that are known.
    Pinned(Checks),
}

/// Why a well signed certificate is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    /// No name fits.
    #[error("none of its alternative names is among those that will do")]
    Name,
    /// No pin fits.
    #[error("it is not a pinned one")]
    Pin,
}

impl LoadedTrust {
    pub fn load(trust: &Trust, materials: &Materials<'_>, digest: &mut Digest) -> Result<LoadedTrust, ContextError> {
        let mut held = HeldTrust { roots: HeldRoots::Pinned, lists: None };
        let roots = match &trust.roots {
            Roots::Pinned => None,
            Roots::Given(source) => {
                let bytes = materials.load(source).map_err(|error| ContextError::read(Part::Ca, source, &error))?;
                let certificates = pem::chain(&bytes).map_err(|problem| ContextError::of(Part::Ca, source, problem))?;
                let shown = certificates.iter().filter_map(|certificate| pem::info(certificate)).collect();
                held.roots = HeldRoots::Given(source.clone(), shown);
                let mut store = RootCertStore::empty();
                for certificate in certificates {
                    digest.add(certificate.as_ref());
                    let added = store.add(certificate);
                    added.map_err(|error| ContextError::of(Part::Ca, source, error))?;
                }
                Some(Arc::new(store))
            }
            Roots::System => {
                let roots = (materials.system_roots)();
                let roots = roots.map_err(|error| ContextError { part: Part::Ca, message: system_words(&error) })?;
                let mut store = RootCertStore::empty();
                for certificate in roots {
                    digest.add(&certificate);
                    // The system's may be odd; one that cannot be used ends no
                    // chain, and the others do.
                    let _ = store.add(certificate.into());
                }
                held.roots = HeldRoots::System(store.len());
                Some(Arc::new(store))
            }
        };
        let mut revocations = Vec::new();
        if let Some(source) = &trust.crl {
            let bytes = materials.load(source).map_err(|error| ContextError::read(Part::Crl, source, &error))?;
            revocations = pem::revocations(&bytes).map_err(|problem| ContextError::of(Part::Crl, source, problem))?;
            revocations.iter().for_each(|list| digest.add(list.as_ref()));
            let shown: Option<Vec<_>> = revocations.iter().map(|list| pem::list_info(list)).collect();
            let none = "expected a list of revoked certificates in PEM or DER, found other bytes";
            let shown = shown.ok_or_else(|| ContextError::of(Part::Crl, source, none))?;
            held.lists = Some((source.clone(), shown));
        }
        let checks = Checks { names: trust.names.clone(), pins: trust.pins.clone() };
        digest.add(&trust.names);
        digest.add(&trust.pins);
        digest.add(&trust.crl_leaf_only);
        Ok(LoadedTrust { roots, revocations, leaf_only: trust.crl_leaf_only, checks, held })
    }
}

fn system_words(error: &std::io::Error) -> String {
    format!("the system's certificates cannot be used: {error}; expected them, or a `ca_cert`")
}

impl Checks {
    /// Whether names are asked for.
    pub fn has_names(&self) -> bool {
        !self.names.is_empty()
    }

    /// Looks at a certificate whose chain is good.
    pub fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        if self.names.is_empty() && self.pins.is_empty() {
            return Ok(());
        }
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
        if !self.pins.is_empty() {
            let key = sha256(parsed.public_key().raw);
            let pinned = self.pins.keys.contains(&key) || self.pins.certificates.contains(&sha256(certificate));
            if !pinned {
                return Err(rejected(Rejection::Pin));
            }
        }
        match self.names.is_empty() || san::any_fits(&self.names, &parsed) {
            true => Ok(()),
            false => Err(rejected(Rejection::Name)),
        }
    }

    /// The same where there is no chain: then a pin decides, and time.
    pub fn check_pinned(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), rustls::Error> {
        if self.pins.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        self.check(certificate)?;
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let validity = parsed.validity();
        let seconds = |time: i64| UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(time).unwrap_or(0)));
        let (not_before, not_after) =
            (seconds(validity.not_before.timestamp()), seconds(validity.not_after.timestamp()));
        if now < not_before {
            return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
        }
        if now > not_after {
            return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
        }
        Ok(())
    }
}

fn rejected(why: Rejection) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(why))).into()
}

/// What a builder of rustls says of roots and lists.
fn unusable(error: &rustls::server::VerifierBuilderError) -> ContextError {
    use rustls::server::VerifierBuilderError as Error;
    match error {
        Error::NoRootAnchors => {
            ContextError { part: Part::Ca, message: "expected at least one usable certificate, found none".to_owned() }
        }
        other => ContextError { part: Part::Crl, message: other.to_string() },
    }
}

/// The signatures that the provider can check.
fn algorithms(provider: &CryptoProvider) -> rustls::crypto::WebPkiSupportedAlgorithms {
    provider.signature_verification_algorithms
}
