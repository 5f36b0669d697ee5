//! TLS towards hosts of a cluster.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::{ClientConfig, Resumption as Sessions};
use rustls::sign::SingleCertAndKey;

use super::{ContextError, Part, Validity, expiry_warnings};
use crate::config::{ClientSettings, NameRule, PeerName, Resumption, ServerAuth};
use crate::digest::{ContextId, Digest};
use crate::holdings::Holdings;
use crate::identity::LoadedIdentity;
use crate::source::Materials;
use crate::verify::{LoadedTrust, ServerVerifier};

/// Names of hosts whose sessions are remembered, per context.
const SESSIONS: usize = 256;

/// How hosts of a cluster are met.
pub struct ClientContext {
    id: ContextId,
    config: Arc<ClientConfig>,
    verifier: Arc<ServerVerifier>,
    verifies: bool,
    name: NameRule,
    fixed: Option<PeerName>,
    validity: Option<Validity>,
    warnings: Vec<(Part, String)>,
    settings: ClientSettings,
    holdings: Holdings,
    made: SystemTime,
}

impl ClientContext {
    /// Puts settings and files together. Reads files: not for a worker.
    pub fn new(settings: &ClientSettings, materials: &Materials<'_>) -> Result<ClientContext, ContextError> {
        let made = SystemTime::now();
        settings.protocol.check().map_err(ContextError::protocol)?;
        let fixed = match &settings.server_name {
            NameRule::Fixed(name) | NameRule::Request { otherwise: Some(name) } => {
                Some(PeerName::parse(name).ok_or_else(|| ContextError {
                    part: Part::Name,
                    message: format!("expected a name of DNS or an address, found {name:?}"),
                })?)
            }
            NameRule::Host | NameRule::Request { otherwise: None } => None,
        };
        let provider = settings.protocol.provider();
        let mut id = Digest::new("sidegate client context");
        id.add(settings);
        let identity = settings.identity.as_ref();
        let identity = identity.map(|own| LoadedIdentity::load(own, &provider, materials, &mut id)).transpose()?;
        let mut holdings = Holdings { identity: identity.as_ref().map(|own| own.held.clone()), trust: None };
        let verifier = Arc::new(match &settings.verify {
            ServerAuth::Nothing => ServerVerifier::anybody(&provider),
            ServerAuth::Verified(trust) => {
                let trust = LoadedTrust::load(trust, materials, &mut id)?;
                holdings.trust = Some(trust.held.clone());
                ServerVerifier::new(trust, &provider)?
            }
        });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&settings.protocol.versions.rustls())
            .map_err(ContextError::protocol)?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone());
        let mut config = match &identity {
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own.certified.clone()))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = settings.protocol.alpn_bytes();
        if let Some(key_log) = &materials.key_log {
            config.key_log = key_log.clone();
        }
        config.resumption = match settings.resumption {
            Resumption::On => Sessions::in_memory_sessions(SESSIONS),
            Resumption::Off => Sessions::disabled(),
        };
        let own_warnings = identity.as_ref().map(|own| own.warnings.clone()).unwrap_or_default();
        Ok(ClientContext {
            id: id.id(),
            config: Arc::new(config),
            verifier,
            verifies: settings.verify != ServerAuth::Nothing,
            name: settings.server_name.clone(),
            fixed,
            validity: identity.as_ref().map(|own| own.validity),
            warnings: own_warnings.into_iter().chain(expiry_warnings(&holdings)).collect(),
            settings: settings.clone(),
            holdings,
            made,
        })
    }

    /// What it is made of.
    pub fn id(&self) -> ContextId {
        self.id
    }

    /// When our certificate is good, if we have one.
    pub fn validity(&self) -> Option<Validity> {
        self.validity
    }

    /// What it was made of, without what files hold.
    pub fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    /// What it has of certificates and lists.
    pub fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// When making it, and so reading its files, began.
    pub fn made(&self) -> SystemTime {
        self.made
    }

    /// What is odd about it, but works.
    pub fn warnings(&self) -> &[(Part, String)] {
        &self.warnings
    }

    /// Where the name of a host comes from.
    pub fn name_rule(&self) -> &NameRule {
        &self.name
    }

    /// The name of all hosts, if there is one; requests may bring others.
    pub fn fixed_name(&self) -> Option<&PeerName> {
        self.fixed.as_ref()
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    pub(crate) fn verifier(&self) -> Option<&Arc<ServerVerifier>> {
        self.verifies.then_some(&self.verifier)
    }
}

/// Equal ones are made of the same.
impl PartialEq for ClientContext {
    fn eq(&self, other: &ClientContext) -> bool {
        self.id == other.id
    }
}

impl Eq for ClientContext {}

impl std::fmt::Debug for ClientContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientContext").field("id", &self.id).finish_non_exhaustive()
    }
}
