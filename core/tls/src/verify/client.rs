//! Certificates of clients.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::{LoadedTrust, Way, algorithms, unusable};
use crate::context::ContextError;

/// Asks clients for certificates, and says whether they are good.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    way: Way<Arc<dyn ClientCertVerifier>>,
    mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientVerifier {
    /// Takes any certificate.
    pub fn anybody(provider: &CryptoProvider) -> ClientVerifier {
        ClientVerifier { way: Way::Anybody, mandatory: false, algorithms: algorithms(provider) }
    }

    pub fn new(
        trust: LoadedTrust,
        mandatory: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<ClientVerifier, ContextError> {
        let way = match trust.roots {
            None => Way::Pinned(trust.checks),
            Some(roots) => {
                let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
                if !trust.revocations.is_empty() {
                    builder = builder.with_crls(trust.revocations).enforce_revocation_expiration();
                }
                if trust.leaf_only {
                    builder = builder.only_check_end_entity_revocation();
                }
                Way::Chain(builder.build().map_err(|error| unusable(&error))?, trust.checks)
            }
        };
        Ok(ClientVerifier { way, mandatory, algorithms: algorithms(provider) })
    }

    /// Whether a certificate that it took says who the client is.
    pub fn vouches(&self) -> bool {
        !matches!(self.way, Way::Anybody)
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        match &self.way {
            Way::Chain(chain, _) => chain.root_hint_subjects(),
            Way::Anybody | Way::Pinned(_) => &[],
        }
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match &self.way {
            Way::Anybody => {}
            Way::Pinned(checks) => checks.check_pinned(end_entity, now)?,
            Way::Chain(chain, checks) => {
                chain.verify_client_cert(end_entity, intermediates, now)?;
                checks.check(end_entity)?;
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
