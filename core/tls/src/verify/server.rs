//! Certificates of hosts.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::{LoadedTrust, Way, algorithms, unusable};
use crate::context::ContextError;

/// Says whether a host's certificate is good.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    way: Way<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerVerifier {
    /// Takes any certificate: whoever stands in between may read and change
    /// everything.
    pub fn anybody(provider: &CryptoProvider) -> ServerVerifier {
        ServerVerifier { way: Way::Anybody, algorithms: algorithms(provider) }
    }

    pub fn new(trust: LoadedTrust, provider: &Arc<CryptoProvider>) -> Result<ServerVerifier, ContextError> {
        let way = match trust.roots {
            None => Way::Pinned(trust.checks),
            Some(roots) => {
                let mut builder = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
                if !trust.revocations.is_empty() {
                    builder = builder.with_crls(trust.revocations).enforce_revocation_expiration();
                }
                if trust.leaf_only {
                    builder = builder.only_check_end_entity_revocation();
                }
                Way::Chain(builder.build().map_err(|error| unusable(&error))?, trust.checks)
            }
        };
        Ok(ServerVerifier { way, algorithms: algorithms(provider) })
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.way {
            Way::Anybody => {}
            Way::Pinned(checks) => checks.check_pinned(end_entity, now)?,
            Way::Chain(chain, checks) => {
                match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
                    Ok(_) => {}
                    // rustls looks at the name last, so the chain was good; and
                    // the name is not what was asked for.
                    Err(Error::InvalidCertificate(
                        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
                    )) if checks.has_names() => {}
                    Err(error) => return Err(error),
                }
                checks.check(end_entity)?;
            }
        }
        Ok(ServerCertVerified::assertion())
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
