//! Certificates, keys and lists out of PEM.

use std::fmt;
use std::time::SystemTime;

use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::digest::{hex, sha256};
use crate::holdings::{RevocationInfo, key_kind, time};
use crate::peer::{name_text, serial_text};

/// What is worth showing of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// As in RFC 2253.
    pub subject: String,
    /// As in RFC 2253.
    pub issuer: String,
    /// Hexadecimal, lower case.
    pub serial: String,
    /// Names of DNS and addresses.
    pub names: Vec<String>,
    /// Good from then on.
    pub not_before: SystemTime,
    /// Good until then.
    pub not_after: SystemTime,
    /// SHA-256 of the DER, hexadecimal.
    pub sha256: String,
    /// Kind and size of its key: `ECDSA P-256`.
    pub key: String,
}

/// What is wrong with a text that should be PEM; completes "… is not usable: ".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PemProblem(pub String);

impl fmt::Display for PemProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn problem<T>(text: impl Into<String>) -> Result<T, PemProblem> {
    Err(PemProblem(text.into()))
}

/// All certificates in `bytes`, each well formed; at least one.
pub(crate) fn chain(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemProblem> {
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(bytes) {
        let certificate = certificate.map_err(|error| PemProblem(pem_words(&error)))?;
        if let Err(error) = X509Certificate::from_der(&certificate) {
            return problem(format!("certificate {} in it is not well formed: {error}", chain.len() + 1));
        }
        chain.push(certificate);
    }
    if chain.is_empty() {
        return problem(format!("expected certificates in PEM, found {}", what_stands(bytes)));
    }
    Ok(chain)
}

/// Certificates that we show of ourselves: no chain has more, and each
/// handshake sends all of them.
const MAX_SHOWN: usize = 100;
/// Bytes of them in DER.
const MAX_SHOWN_BYTES: usize = 1 << 20;

/// The certificates of a chain that is shown to peers.
pub(crate) fn shown_chain(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemProblem> {
    let chain = chain(bytes)?;
    let size: usize = chain.iter().map(|certificate| certificate.len()).sum();
    match chain.len() {
        found if found > MAX_SHOWN => problem(format!(
            "expected a chain of {MAX_SHOWN} certificates at most, as each handshake sends all of them; found {found}"
        )),
        _ if size > MAX_SHOWN_BYTES => problem(format!(
            "expected a chain of {MAX_SHOWN_BYTES} bytes at most, as each handshake sends all of them; found {size}"
        )),
        _ => Ok(chain),
    }
}

/// The one key in `bytes`.
pub(crate) fn key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, PemProblem> {
    let text = String::from_utf8_lossy(bytes);
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return problem(
            "the key is encrypted, and nobody is there to type its password when a sidecar starts; expected a key \
             without one (openssl pkey -in FILE -out FILE) in a file that only the proxy may read",
        );
    }
    match PrivateKeyDer::from_pem_slice(bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => {
            problem(format!("expected a private key in PEM (PKCS#8, PKCS#1 or SEC1), found {}", what_stands(bytes)))
        }
        Err(error) => problem(pem_words(&error)),
    }
}

/// Lists of revoked certificates: PEM, or one in DER.
pub(crate) fn revocations(bytes: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, PemProblem> {
    if !is_pem(bytes) && !bytes.is_empty() {
        return Ok(vec![CertificateRevocationListDer::from(bytes.to_vec())]);
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(bytes).collect();
    match lists {
        Ok(lists) if lists.is_empty() => problem(format!("expected X509 CRL in PEM, found {}", what_stands(bytes))),
        Ok(lists) => Ok(lists),
        Err(error) => problem(pem_words(&error)),
    }
}

/// What is worth showing of the certificates in a PEM text, in order.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateInfo>, String> {
    let chain = chain(pem).map_err(|problem| problem.0)?;
    Ok(chain.iter().filter_map(|certificate| info(certificate)).collect())
}

/// What is worth showing of a list.
pub(crate) fn list_info(der: &[u8]) -> Option<RevocationInfo> {
    Some(RevocationInfo::of(&CertificateRevocationList::from_der(der).ok()?.1))
}

pub(crate) fn info(der: &[u8]) -> Option<CertificateInfo> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    Some(CertificateInfo {
        subject: name_text(certificate.subject()),
        issuer: name_text(certificate.issuer()),
        serial: serial_text(&certificate),
        names: crate::peer::names(&certificate).into_iter().map(|(_, name)| name).collect(),
        not_before: time(validity.not_before),
        not_after: time(validity.not_after),
        sha256: hex(&sha256(der)),
        key: key_kind(certificate.public_key()),
    })
}

fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(10).any(|window| window == b"-----BEGIN")
}

fn pem_words(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a PEM section in it has no end".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a PEM section in it begins badly".to_owned(),
        pem::Error::Base64Decode(_) => "a PEM section in it is not base64".to_owned(),
        pem::Error::SectionTooLarge => "a PEM section in it is too large".to_owned(),
        other => other.to_string(),
    }
}

/// What there is instead of what was looked for.
fn what_stands(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    if !is_pem(bytes) {
        return match bytes.first() {
            Some(0x30) => "something that looks like DER".to_owned(),
            _ => "something else".to_owned(),
        };
    }
    let kinds = <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes).filter_map(|section| Some(section.ok()?.0));
    let mut names: Vec<_> = kinds.map(kind_name).collect();
    names.dedup();
    match names.is_empty() {
        true => "PEM of another kind".to_owned(),
        false => names.join(", "),
    }
}

fn kind_name(kind: SectionKind) -> &'static str {
    match kind {
        SectionKind::Certificate => "a certificate",
        SectionKind::PublicKey => "a public key",
        SectionKind::RsaPrivateKey | SectionKind::PrivateKey | SectionKind::EcPrivateKey => "a private key",
        SectionKind::Crl => "a revocation list",
        SectionKind::Csr => "a certificate request",
        _ => "PEM of another kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One certificate, with this many bytes more than it needs.
    fn certificate(more: usize) -> String {
        let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        let padding = rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![4; more]);
        params.custom_extensions = vec![padding];
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn a_chain_that_is_shown_is_bounded_and_a_bundle_of_cas_is_not() {
        let one = certificate(0);
        assert_eq!(shown_chain(one.repeat(100).as_bytes()).unwrap().len(), 100);
        let many = one.repeat(101);
        assert!(shown_chain(many.as_bytes()).unwrap_err().0.contains("100 certificates at most"));
        assert_eq!(chain(many.as_bytes()).unwrap().len(), 101);
        let large = certificate(200_000);
        assert!(shown_chain(large.repeat(5).as_bytes()).is_ok());
        assert!(shown_chain(large.repeat(6).as_bytes()).unwrap_err().0.contains("1048576 bytes at most"));
    }
}
