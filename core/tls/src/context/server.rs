//! TLS towards clients.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::{ContextError, Part, Validity, expiry_warnings};
use crate::config::{ClientAuth, Resumption, ServerSettings, TicketKeys};
use crate::digest::{ContextId, Digest};
use crate::holdings::{HeldTrust, Holdings};
use crate::identity::LoadedIdentity;
use crate::names::is_servable;
use crate::peer::Peer;
use crate::resume::{ContextTickets, TicketSecrets, TicketSecretsError};
use crate::source::{Materials, Source};
use crate::verify::{ClientVerifier, LoadedTrust};

/// One certificate of a listener, and how clients are met that get it.
pub struct ServerContext {
    id: ContextId,
    with_alpn: Arc<ServerConfig>,
    /// The same without application protocols: rustls would end a handshake
    /// that has none in common.
    without_alpn: Arc<ServerConfig>,
    alpn: Vec<Vec<u8>>,
    alpn_strict: bool,
    names: Vec<String>,
    certified: Arc<CertifiedKey>,
    own: Arc<Peer>,
    verifier: Option<Arc<ClientVerifier>>,
    validity: Validity,
    warnings: Vec<(Part, String)>,
    settings: ServerSettings,
    holdings: Holdings,
    made: SystemTime,
}

impl ServerContext {
    /// Puts settings and files together. Reads files: not for a worker.
    pub fn new(settings: &ServerSettings, materials: &Materials<'_>) -> Result<ServerContext, ContextError> {
        let made = SystemTime::now();
        settings.protocol.check().map_err(ContextError::protocol)?;
        let provider = settings.protocol.provider();
        // What a session may be resumed for: who we are, and who may come.
        let mut resume = Digest::new("sidegate server session");
        let identity = LoadedIdentity::load(&settings.identity, &provider, materials, &mut resume)?;
        let (verifier, trust) = verifier(&settings.clients, &provider, materials, &mut resume)?;
        let holdings = Holdings { identity: Some(identity.held), trust };
        let resume = resume.finish();
        let mut id = Digest::new("sidegate server context");
        id.add(&resume);

        let mut names = identity.names;
        for name in &settings.server_names {
            let name = name.to_ascii_lowercase();
            if !is_servable(&name) {
                let message = format!("expected a name of DNS, perhaps with `*.` before it, found {name:?}");
                return Err(ContextError { part: Part::Name, message });
            }
            names.push(name);
        }

        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&settings.protocol.versions.rustls())
            .map_err(ContextError::protocol)?;
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
            None => builder.with_no_client_auth(),
        };
        let resolver = SingleCertAndKey::from(identity.certified.clone());
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = settings.protocol.alpn_bytes();
        config.ignore_client_order = true;
        if let Some(key_log) = &materials.key_log {
            config.key_log = key_log.clone();
        }
        // Sessions live in tickets alone: a table of them would cost memory for
        // strangers and a lock that all workers share.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match settings.resumption {
            Resumption::On => {
                let secrets = secrets(&settings.tickets, materials, &mut id)?;
                config.ticketer = Arc::new(ContextTickets::new(secrets, resume));
                // Each costs keys and an encryption, and a resumed session gives
                // another one.
                config.send_tls13_tickets = 1;
            }
            Resumption::Off => config.send_tls13_tickets = 0,
        }
        id.add(settings);
        id.add(&identity.certified.ocsp);
        let mut without_alpn = config.clone();
        without_alpn.alpn_protocols.clear();
        Ok(ServerContext {
            id: id.id(),
            alpn: config.alpn_protocols.clone(),
            with_alpn: Arc::new(config),
            without_alpn: Arc::new(without_alpn),
            alpn_strict: settings.alpn_strict,
            names,
            own: Arc::new(Peer::new(identity.certified.cert[0].clone())),
            certified: identity.certified,
            verifier,
            validity: identity.validity,
            warnings: identity.warnings.into_iter().chain(expiry_warnings(&holdings)).collect(),
            settings: settings.clone(),
            holdings,
            made,
        })
    }

    /// What it is made of.
    pub fn id(&self) -> ContextId {
        self.id
    }

    /// When its certificate is good.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// What it was made of, without what files hold.
    pub fn settings(&self) -> &ServerSettings {
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

    /// Who we are to clients.
    pub fn own(&self) -> &Arc<Peer> {
        &self.own
    }

    /// Names that it serves, lower case, perhaps with `*.` before them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether a client's certificate says who the client is.
    pub fn verifies_clients(&self) -> bool {
        self.verifier.as_ref().is_some_and(|verifier| verifier.vouches())
    }

    pub(crate) fn verifier(&self) -> Option<&Arc<ClientVerifier>> {
        self.verifier.as_ref().filter(|verifier| verifier.vouches())
    }

    /// Whether one of `offered` is spoken here.
    pub(crate) fn speaks<'a>(&self, mut offered: impl Iterator<Item = &'a [u8]>) -> bool {
        offered.any(|protocol| self.alpn.iter().any(|own| own == protocol))
    }

    /// Whether a client that checks these signatures can check ours.
    pub(crate) fn signs(&self, schemes: &[rustls::SignatureScheme]) -> bool {
        self.certified.key.choose_scheme(schemes).is_some()
    }

    /// For a client that offers protocols of which none is spoken here
    /// (`mismatch`), or for any other.
    pub(crate) fn config(&self, mismatch: bool) -> Arc<ServerConfig> {
        match mismatch && !self.alpn_strict {
            true => self.without_alpn.clone(),
            false => self.with_alpn.clone(),
        }
    }
}

impl std::fmt::Debug for ServerContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerContext").field("id", &self.id).field("names", &self.names).finish_non_exhaustive()
    }
}

fn verifier(
    clients: &ClientAuth,
    provider: &Arc<rustls::crypto::CryptoProvider>,
    materials: &Materials<'_>,
    digest: &mut Digest,
) -> Result<(Option<Arc<ClientVerifier>>, Option<HeldTrust>), ContextError> {
    digest.add(&std::mem::discriminant(clients));
    let (trust, required) = match clients {
        ClientAuth::None => return Ok((None, None)),
        ClientAuth::Unverified => return Ok((Some(Arc::new(ClientVerifier::anybody(provider))), None)),
        ClientAuth::Verified(trust) => (trust, false),
        ClientAuth::Required(trust) => (trust, true),
    };
    let trust = LoadedTrust::load(trust, materials, digest)?;
    let held = trust.held.clone();
    Ok((Some(Arc::new(ClientVerifier::new(trust, required, provider)?)), Some(held)))
}

fn secrets(
    keys: &TicketKeys,
    materials: &Materials<'_>,
    digest: &mut Digest,
) -> Result<Arc<TicketSecrets>, ContextError> {
    let TicketKeys::Shared(sources) = keys else { return Ok(materials.tickets.clone()) };
    let read =
        |source: &Source| materials.load(source).map_err(|error| ContextError::read(Part::Tickets, source, &error));
    let secrets = sources.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    digest.add(&secrets);
    TicketSecrets::shared(secrets).map_err(|error| match &error {
        TicketSecretsError::Length { place, .. } => ContextError::of(Part::Tickets, &sources[*place], &error),
        _ => ContextError { part: Part::Tickets, message: error.to_string() },
    })
}
