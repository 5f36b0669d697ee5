//! Who we are: a chain and its key.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::Identity;
use crate::context::{ContextError, Part, Validity};
use crate::digest::Digest;
use crate::holdings::HeldIdentity;
use crate::peer;
use crate::pem;
use crate::san::SanKind;
use crate::source::{Materials, Source};

/// An identity whose key fits its certificate.
#[derive(Debug)]
pub(crate) struct LoadedIdentity {
    pub certified: Arc<CertifiedKey>,
    /// Names of DNS that the certificate is for, lower case.
    pub names: Vec<String>,
    pub validity: Validity,
    /// What is odd, but works with most peers.
    pub warnings: Vec<(Part, String)>,
    pub held: HeldIdentity,
}

impl LoadedIdentity {
    /// `digest` hears of the certificates. A fresh OCSP response makes nobody
    /// another.
    pub fn load(
        identity: &Identity,
        provider: &CryptoProvider,
        materials: &Materials<'_>,
        digest: &mut Digest,
    ) -> Result<LoadedIdentity, ContextError> {
        let source = &identity.chain;
        let bytes = materials.load(source).map_err(|error| ContextError::read(Part::Chain, source, &error))?;
        let chain = pem::shown_chain(&bytes).map_err(|problem| ContextError::of(Part::Chain, source, problem))?;
        chain.iter().for_each(|certificate| digest.add(certificate.as_ref()));
        let key = signing_key(&identity.key, provider, materials)?;
        let ocsp = match &identity.ocsp {
            None => None,
            Some(path) => {
                let source = Source::File(path.clone());
                let read = materials.load(&source);
                let der = read.map_err(|error| ContextError::read(Part::Ocsp, &source, &error))?;
                // An OCSPResponse is a sequence; its contents are the client's
                // to judge.
                if der.first() != Some(&0x30) {
                    let message = "expected an OCSP response in DER, found something else";
                    return Err(ContextError::of(Part::Ocsp, &source, message));
                }
                Some(der)
            }
        };
        fits(&chain, &key, identity)?;
        let mut warnings = order_warnings(&chain);
        let (_, leaf) = X509Certificate::from_der(&chain[0])
            .map_err(|error| ContextError::of(Part::Chain, source, error.to_string()))?;
        let validity = Validity::of(&leaf);
        if validity.is_early(SystemTime::now()) {
            warnings.push((Part::Chain, "the certificate is not valid yet".to_owned()));
        }
        let names = dns_names(&leaf);
        let held = HeldIdentity {
            chain_from: identity.chain.clone(),
            key_from: identity.key.clone(),
            chain: chain.iter().filter_map(|certificate| pem::info(certificate)).collect(),
            stapled: ocsp.is_some(),
        };
        let certified = Arc::new(CertifiedKey { cert: chain, key, ocsp });
        Ok(LoadedIdentity { certified, names, validity, warnings, held })
    }
}

fn signing_key(
    source: &Source,
    provider: &CryptoProvider,
    materials: &Materials<'_>,
) -> Result<Arc<dyn SigningKey>, ContextError> {
    let bytes = materials.load(source).map_err(|error| ContextError::read(Part::Key, source, &error))?;
    let bytes = zeroize::Zeroizing::new(bytes);
    let key = pem::key(&bytes).map_err(|problem| ContextError::of(Part::Key, source, problem))?;
    provider.key_provider.load_private_key(key).map_err(|error| {
        let message = format!("expected an RSA, ECDSA (P-256, P-384, P-521) or Ed25519 key, found another: {error}");
        ContextError::of(Part::Key, source, message)
    })
}

/// Refuses a key of another certificate, and says whose it is.
fn fits(chain: &[CertificateDer<'static>], key: &Arc<dyn SigningKey>, identity: &Identity) -> Result<(), ContextError> {
    let is_of = |certificate: &CertificateDer<'static>| {
        let pair = CertifiedKey { cert: vec![certificate.clone()], key: key.clone(), ocsp: None };
        pair.keys_match().is_ok()
    };
    if is_of(&chain[0]) {
        return Ok(());
    }
    match chain.iter().position(is_of) {
        Some(place) => {
            let message = format!(
                "the chain is in the wrong order: the key belongs to certificate {}; expected that one first, then \
                 each one's issuer",
                place + 1
            );
            Err(ContextError::of(Part::Chain, &identity.chain, message))
        }
        None => {
            let subject = pem::info(&chain[0]).map(|info| info.subject).unwrap_or_default();
            let message = format!("the key does not belong to the certificate of {subject:?}");
            Err(ContextError::of(Part::Key, &identity.key, message))
        }
    }
}

/// TLS 1.2 wants each certificate to be followed by its issuer.
fn order_warnings(chain: &[CertificateDer<'static>]) -> Vec<(Part, String)> {
    let parsed: Vec<_> = chain.iter().filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1)).collect();
    let wrong = parsed.windows(2).position(|pair| pair[0].issuer() != pair[1].subject());
    let word = wrong.map(|place| {
        format!(
            "certificate {} of the chain is not the issuer of the one before; some clients will not find their way",
            place + 2
        )
    });
    word.map(|word| (Part::Chain, word)).into_iter().collect()
}

/// The names a certificate is for; the common name counts only where there are
/// no others, as it did for old clients.
fn dns_names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let names = peer::names(leaf).into_iter().filter(|(kind, _)| *kind == SanKind::Dns);
    let names: Vec<_> = names.map(|(_, name)| name.to_ascii_lowercase()).collect();
    match names.is_empty() {
        true => peer::common_name(leaf).map(|name| name.to_ascii_lowercase()).into_iter().collect(),
        false => names,
    }
}
