//! What contexts are made of besides their settings: files, the system's
//! certificates, and secrets that go on from one configuration to the next.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use sidegate_api::{BuildEnv, Registry};
use sidegate_files::read_regular;
use sidegate_tls::{
    ClientContext, ClientSettings, ContextError, KeyLog, ServerContext, ServerSettings, Taken, TicketSecrets,
};

/// A large list of revoked certificates has some MiB.
const MAX_FILE: u64 = 32 << 20;

/// Makes contexts of settings and of what their files hold just now, with the
/// secrets that go on from one configuration to the next. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ContextMaker {
    tickets: Arc<TicketSecrets>,
    /// Whom the keys of sessions are told.
    key_log: Option<Arc<dyn KeyLog>>,
}

/// Makes contexts; equal ones of a configuration are made once.
pub(crate) struct Materials<'e> {
    env: &'e BuildEnv,
    maker: ContextMaker,
    registry: &'e Registry,
}

/// A file that belongs to TLS, by its path.
#[derive(PartialEq, Eq, Hash)]
struct TlsFile(PathBuf);

/// The system's certificates.
#[derive(PartialEq, Eq, Hash)]
struct SystemRoots;

impl ContextMaker {
    /// The same secrets; `key_log` is told the keys of sessions.
    pub(crate) fn telling(&self, key_log: Option<Arc<dyn KeyLog>>) -> ContextMaker {
        ContextMaker { tickets: self.tickets.clone(), key_log }
    }

    /// For clients. Reads files.
    pub fn server(&self, settings: &ServerSettings) -> Result<ServerContext, ContextError> {
        self.with(&read_file, &sidegate_tls::system_roots, |materials| ServerContext::new(settings, materials))
    }

    /// For hosts. Reads files.
    pub fn client(&self, settings: &ClientSettings) -> Result<ClientContext, ContextError> {
        self.with(&read_file, &sidegate_tls::system_roots, |materials| ClientContext::new(settings, materials))
    }

    fn with<T>(
        &self,
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
        system_roots: &dyn Fn() -> io::Result<Vec<Vec<u8>>>,
        make: impl FnOnce(&sidegate_tls::Materials<'_>) -> T,
    ) -> T {
        let (tickets, key_log) = (self.tickets.clone(), self.key_log.clone());
        make(&sidegate_tls::Materials { read, system_roots, tickets, key_log, taken: Taken::default() })
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    read_regular(path, MAX_FILE).map_err(|error| io::Error::other(error.to_string()))
}

impl<'e> Materials<'e> {
    pub fn new(env: &'e BuildEnv, maker: ContextMaker, registry: &'e Registry) -> Materials<'e> {
        Materials { env, maker, registry }
    }

    /// What there is of extensions.
    pub fn registry(&self) -> &'e Registry {
        self.registry
    }

    pub fn env(&self) -> &'e BuildEnv {
        self.env
    }

    pub fn server(&self, settings: &ServerSettings) -> Result<Arc<ServerContext>, ContextError> {
        let make = || self.with(|materials| ServerContext::new(settings, materials).map(Arc::new));
        (*self.env.reads.once(settings.clone(), make)).clone()
    }

    pub fn client(&self, settings: &ClientSettings) -> Result<Arc<ClientContext>, ContextError> {
        let make = || self.with(|materials| ClientContext::new(settings, materials).map(Arc::new));
        (*self.env.reads.once(settings.clone(), make)).clone()
    }

    /// Paths lead where those of modules and logs do.
    pub fn path(&self, text: &str) -> PathBuf {
        self.env.resolve(Path::new(text))
    }

    fn with<T>(&self, make: impl FnOnce(&sidegate_tls::Materials<'_>) -> T) -> T {
        self.maker.with(&|path| self.read(path), &|| self.system_roots(), make)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.env.reads.watch(path);
        let read = || read_file(path).map_err(|error| error.to_string());
        let bytes = self.env.reads.once(TlsFile(path.to_path_buf()), read);
        (*bytes).clone().map_err(io::Error::other)
    }

    fn system_roots(&self) -> io::Result<Vec<Vec<u8>>> {
        let read = || sidegate_tls::system_roots().map_err(|error| error.to_string());
        (*self.env.reads.once(SystemRoots, read)).clone().map_err(io::Error::other)
    }
}
