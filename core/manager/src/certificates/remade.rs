//! Contexts made anew of the same settings and of what their files hold now.

use std::collections::HashMap;
use std::sync::Arc;

use sidegate_tls::{
    ClientContext, ClientSettings, ContextError, ContextId, Part, ServerContext, ServerContexts, ServerSettings,
};

/// Makes contexts. It reads files, and is called on a thread of its own.
pub trait MakeContexts: Send + Sync + 'static {
    /// For clients.
    fn server(&self, settings: &ServerSettings) -> Result<ServerContext, ContextError>;

    /// For hosts.
    fn client(&self, settings: &ClientSettings) -> Result<ClientContext, ContextError>;
}

/// The contexts that are in use, each once.
#[derive(Default)]
pub(super) struct InUse {
    pub servers: HashMap<ContextId, Arc<ServerContext>>,
    pub clients: HashMap<ContextId, Arc<ClientContext>>,
}

/// What takes their places, by what they were made of.
#[derive(Debug, Default)]
pub(crate) struct Remade {
    pub(super) servers: HashMap<ContextId, Arc<ServerContext>>,
    pub(super) clients: HashMap<ContextId, Arc<ClientContext>>,
    /// Those whose files are no good: they stay.
    pub refused: Vec<(ContextId, ContextError)>,
    /// Those that came out the same.
    pub same: usize,
}

impl Remade {
    /// Each of its own: what is wrong with one changes nothing for others.
    pub(super) fn of(in_use: InUse, maker: &dyn MakeContexts) -> Remade {
        let mut remade = Remade::default();
        for (id, known) in in_use.servers {
            match maker.server(known.settings()) {
                Ok(made) if made.id() == id => remade.same += 1,
                Ok(made) => drop(remade.servers.insert(id, Arc::new(made))),
                Err(error) => remade.refused.push((id, error)),
            }
        }
        for (id, known) in in_use.clients {
            match maker.client(known.settings()) {
                Ok(made) if made.id() == id => remade.same += 1,
                Ok(made) => drop(remade.clients.insert(id, Arc::new(made))),
                Err(error) => remade.refused.push((id, error)),
            }
        }
        remade
    }

    /// How many differ from before.
    pub fn changed(&self) -> usize {
        self.servers.len() + self.clients.len()
    }

    /// What a listener with these has from now on; `None`: the same.
    pub fn listener(&self, now: &ServerContexts) -> Option<ServerContexts> {
        let differs = now.contexts().iter().any(|context| self.servers.contains_key(&context.id()));
        let next = || {
            let next = now.contexts().iter().map(|context| self.servers.get(&context.id()).unwrap_or(context).clone());
            ServerContexts::new(next.collect())
        };
        differs.then(next).flatten()
    }

    /// The same of a cluster.
    pub fn cluster(&self, now: &ClientContext) -> Option<&Arc<ClientContext>> {
        self.clients.get(&now.id())
    }
}

/// The key of the configuration that a part is said by.
pub(super) fn key(part: Part) -> &'static str {
    match part {
        Part::Chain => "cert_chain",
        Part::Key => "private_key",
        Part::Ocsp => "ocsp_staple",
        Part::Ca => "ca_cert",
        Part::Crl => "crl",
        Part::Protocol => "cipher_suites",
        Part::Name => "server_name",
        Part::Tickets => "session_ticket_keys",
    }
}
