//! Certificates and keys that somebody brings while the process runs.

use std::cell::RefCell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use sidegate_api::{CertificateProvider, Credentials};

use crate::config::{Identity, Protocol, Roots, Trust};
use crate::context::{ContextError, Part, Validity};
use crate::digest::Digest;
use crate::identity::LoadedIdentity;
use crate::resume::TicketSecrets;
use crate::source::{Materials, Source};
use crate::verify::LoadedTrust;

/// Who brings them. Equal ones are the same one.
#[derive(Clone)]
pub struct Provided(pub Arc<dyn CertificateProvider>);

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProvidedPart {
    /// Our certificate and its issuers.
    Chain,
    /// The key of it.
    Key,
    /// Certificates that end chains of peers.
    Ca,
}

impl Provided {
    /// For people.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).cast::<()>() as usize
    }
}

impl PartialEq for Provided {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address()
    }
}

impl Eq for Provided {}

/// Lives for as long as any context has it, so that no other one has its
/// address.
impl Hash for Provided {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address().hash(state);
    }
}

impl fmt::Debug for Provided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was brought for one context. It is asked for once: certificate, key and
/// CA of a context belong together.
#[derive(Debug, Default)]
pub struct Taken(RefCell<Vec<(Provided, Arc<Credentials>)>>);

impl Taken {
    pub(crate) fn part(&self, of: &Provided, part: ProvidedPart) -> io::Result<Vec<u8>> {
        let mut taken = self.0.borrow_mut();
        let known = taken.iter().find(|(provided, _)| provided == of).map(|(_, credentials)| credentials.clone());
        let credentials = match known {
            Some(known) => known,
            None => {
                let credentials = of.0.credentials().map_err(io::Error::other)?;
                taken.push((of.clone(), credentials.clone()));
                credentials
            }
        };
        match part {
            ProvidedPart::Chain => Ok(credentials.certificates.clone().into_bytes()),
            ProvidedPart::Key => Ok(credentials.key.as_bytes().to_vec()),
            ProvidedPart::Ca if credentials.cas.trim().is_empty() => {
                Err(io::Error::other("expected certificates of CAs, as peers are verified; it has brought none"))
            }
            ProvidedPart::Ca => Ok(credentials.cas.clone().into_bytes()),
        }
    }
}

/// Whether certificate, key and CA are each well formed, belong together and
/// have not expired; gives the time in which the certificate is good.
pub fn check_credentials(credentials: &Credentials, now: SystemTime) -> Result<Validity, ContextError> {
    let inline = |text: &str| Source::Inline(text.into());
    // Nothing else is read.
    let materials = Materials {
        read: &|_| Err(io::ErrorKind::Unsupported.into()),
        system_roots: &|| Ok(Vec::new()),
        tickets: Arc::new(TicketSecrets::default()),
        key_log: None,
        taken: Taken::default(),
    };
    let provider = Protocol::default().provider();
    let identity = Identity { chain: inline(&credentials.certificates), key: inline(&credentials.key), ocsp: None };
    let mut digest = Digest::new("sidegate credentials");
    let loaded = LoadedIdentity::load(&identity, &provider, &materials, &mut digest)?;
    if loaded.validity.not_after <= now {
        return Err(ContextError { part: Part::Chain, message: "the certificate has expired".to_owned() });
    }
    if !credentials.cas.trim().is_empty() {
        let trust = Trust { roots: Roots::Given(inline(&credentials.cas)), ..Trust::default() };
        LoadedTrust::load(&trust, &materials, &mut digest)?;
    }
    Ok(loaded.validity)
}
