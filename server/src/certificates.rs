//! Contexts of TLS for the manager, which knows no configuration.

use sidegate_config::ContextMaker;
use sidegate_manager::MakeContexts;
use sidegate_tls::{ClientContext, ClientSettings, ContextError, ServerContext, ServerSettings};

/// As the configuration makes them.
pub(crate) struct Contexts(pub(crate) ContextMaker);

impl MakeContexts for Contexts {
    fn server(&self, settings: &ServerSettings) -> Result<ServerContext, ContextError> {
        self.0.server(settings)
    }

    fn client(&self, settings: &ClientSettings) -> Result<ClientContext, ContextError> {
        self.0.client(settings)
    }
}
