//! TLS towards one host.

use std::sync::Arc;

use sidegate_api::Address;
use sidegate_tls::{ClientContext, Failure, Limits, PeerName, Session};

use crate::{Cluster, Member};

/// How a host is spoken to in TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostTls {
    context: Arc<ClientContext>,
    /// What it is asked for, and its certificate must be for; an error for a
    /// name that is none.
    name: Result<PeerName, Arc<str>>,
}

impl HostTls {
    /// A session in which one of `protocols` is to be spoken.
    pub fn session(&self, protocols: &[&str]) -> Result<Session, Failure> {
        match &self.name {
            Ok(name) => Session::client(&self.context, name, protocols, &Limits::default()),
            Err(name) => Err(Failure::unnamed(name)),
        }
    }
}

impl HostTls {
    /// The same host under another name, which a request brought.
    #[must_use]
    pub fn under(self, name: &Arc<str>) -> HostTls {
        HostTls { name: PeerName::parse(name).ok_or_else(|| name.clone()), ..self }
    }
}

impl Cluster {
    /// How `member` is spoken to in TLS; `None`: in clear text.
    pub fn tls(&self, member: &Member) -> Option<HostTls> {
        let context = self.config().tls.as_ref().filter(|_| !member.clear_text)?;
        let name = match (context.fixed_name(), &member.hostname, member.host.address()) {
            (Some(name), ..) => Ok(name.clone()),
            (None, Some(name), _) => PeerName::parse(name).ok_or_else(|| name.clone()),
            (None, None, Address::Tcp(address)) => Ok(PeerName::Address(address.ip())),
            (None, None, Address::Unix(_)) => Ok(PeerName::Dns("localhost".into())),
        };
        Some(HostTls { context: context.clone(), name })
    }
}
