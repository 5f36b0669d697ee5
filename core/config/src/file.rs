//! Reading the file and handing it on.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sidegate_api::{Address, BuildEnv, Metrics, Reads, Registry};
use sidegate_files::{ReadError, read_bounded};
use sidegate_tls::KeyLog;

use crate::diagnostic::{ConfigErrors, Finding, Report, kind};
use crate::document::{self, Format, MAX_BYTES, Node, Position};
use crate::include::{Included, include};
use crate::reader::{Cursor, ObjectReader};
use crate::resolve::{
    Chains, Config, KnownModule, LoadMode, ModulePolicy, known_modules, module_directories, policy, resolve,
};
use crate::reuse::FilterCache;
use crate::schema;
use crate::source::{Disk, Recorder, Sent, Source};

/// What standard input is called in messages.
const STDIN_NAME: &str = "<stdin>";

/// What loading needs besides the file.
#[derive(Debug, Clone)]
pub struct LoadEnv {
    /// Where filters define their metrics.
    pub metrics: Metrics,
    /// Number of workers that filters are built for: as many as a process that
    /// starts with this file would have.
    pub workers: usize,
    /// Where relative paths are looked up after the file's own folder.
    pub working_dir: PathBuf,
    /// Whom the keys of TLS sessions are told; `None`: nobody.
    pub key_log: Option<Arc<dyn KeyLog>>,
}

/// A configuration file that was read but not understood yet: it can say how
/// many workers it wants before metrics and filters are made for them.
#[derive(Clone)]
pub struct ConfigFile {
    path: PathBuf,
    /// Where relative paths begin, if not beside the file.
    folder: Option<PathBuf>,
    /// With what directories hold in its place.
    root: Node,
    read: Included,
}

/// Without the document, which may hold secrets.
impl std::fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ConfigFile {
    /// What stands for standard input in place of a file's name.
    pub const STDIN: &str = "-";

    /// Reads a JSON or YAML file, and the directories that it names. For
    /// [`STDIN`](Self::STDIN) standard input is read; relative paths then begin
    /// at the working directory.
    pub fn read(path: &Path) -> Result<ConfigFile, ConfigErrors> {
        if path == Path::new(Self::STDIN) {
            let path = Path::new(STDIN_NAME);
            return Self::complete(path, document_of(path, stdin()), &Disk);
        }
        let mut file = Self::complete(path, read_document(path, MAX_BYTES as u64, &Disk), &Disk)?;
        file.read.paths.insert(0, path.to_path_buf());
        Ok(file)
    }

    /// The same, with a note of everything that was read.
    pub(crate) fn read_from(path: &Path, recorder: &Recorder) -> Result<ConfigFile, ConfigErrors> {
        if path == Path::new(Self::STDIN) {
            let (path, read) = (Path::new(STDIN_NAME), stdin());
            read.iter().for_each(|bytes| recorder.note(path, bytes));
            return Self::complete(path, document_of(path, read), recorder);
        }
        Self::complete(path, read_document(path, MAX_BYTES as u64, recorder), recorder)
    }

    /// A file that was read elsewhere; relative paths begin at `folder`.
    pub(crate) fn sent(path: &Path, folder: &Path, sent: &Sent) -> Result<ConfigFile, ConfigErrors> {
        let file = Self::complete(path, read_document(path, MAX_BYTES as u64, sent), sent)?;
        let read = Included { paths: Vec::new(), directories: Vec::new(), ..file.read };
        Ok(ConfigFile { folder: Some(folder.to_path_buf()), read, ..file })
    }

    /// The same for text that was read already; `path` is used for messages,
    /// the format and relative paths.
    pub fn parse(path: &Path, text: &str) -> Result<ConfigFile, ConfigErrors> {
        let digest = Sha256::digest(text).into();
        let document = parse_document(path, text).map(|node| Document { node, size: text.len() as u64, digest });
        Self::complete(path, document, &Disk)
    }

    fn complete(
        path: &Path,
        read: Result<Document, Unreadable>,
        source: &dyn Source,
    ) -> Result<ConfigFile, ConfigErrors> {
        let refused = |report: Report| report.finish().err().unwrap_or_else(|| ConfigErrors::unexplained(path));
        let name = path.display().to_string();
        let Document { node: mut root, digest, .. } = read.map_err(|(position, finding)| {
            let report = Report::new(&name);
            report.error(position, "", finding);
            refused(report)
        })?;
        crate::mosn_dump::unfold(&mut root);
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut read = include(&mut root, folder, &name, source).map_err(|report| refused(*report))?;
        read.digests.insert(0, digest);
        Ok(ConfigFile { path: path.to_path_buf(), folder: None, root, read })
    }

    #[cfg(test)]
    pub(crate) fn root_json(&self) -> serde_json::Value {
        self.root.to_json()
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files that were read: the file itself, unless it was standard input
    /// or a text, and those of directories that it names.
    pub fn files(&self) -> &[PathBuf] {
        &self.read.paths
    }

    /// SHA-256 over everything that was read, byte by byte: what runs is what
    /// it is of, whatever became of the files since.
    pub fn digest(&self) -> [u8; 32] {
        // Each is of one length, so that files cannot run into each other.
        self.read.digests.iter().fold(Sha256::new(), |hash, digest| hash.chain_update(digest)).finalize().into()
    }

    /// `servers[0].processor`, if it is a number; mistakes in it are left for
    /// [`resolve`](Self::resolve).
    pub fn workers(&self) -> Option<NonZeroUsize> {
        let report = Report::new("");
        let mut top = Cursor::root(&self.root, &report, &schema::DOCUMENT).object(&schema::TOP)?;
        let server = top.get("servers")?.array()?.into_iter().next()?;
        crate::resolve::processor(&server.object(&schema::SERVER)?.get("processor")?)
    }

    /// `plugin.log_base`; mistakes in it are left for
    /// [`resolve`](Self::resolve).
    pub fn plugin_log_base(&self) -> Option<String> {
        let report = Report::new("");
        let mut top = Cursor::root(&self.root, &report, &schema::DOCUMENT).object(&schema::TOP)?;
        let mut plugin = top.get("plugin")?.object(&schema::PLUGIN)?;
        plugin.get("log_base")?.string().map(str::to_owned)
    }

    /// Where `admin` listens; mistakes in it are left for
    /// [`resolve`](Self::resolve).
    pub fn admin_address(&self) -> Option<Address> {
        let report = Report::new("");
        let mut top = Cursor::root(&self.root, &report, &schema::DOCUMENT).object(&schema::TOP)?;
        crate::resolve::admin_address(&top.get("admin")?)
    }

    /// What `modules` says of trust; mistakes in it are left for
    /// [`resolve`](Self::resolve).
    pub fn module_policy(&self, working_dir: &Path) -> ModulePolicy {
        let report = Report::new("");
        let top = Cursor::root(&self.root, &report, &schema::DOCUMENT).object(&schema::TOP);
        let modules = top.and_then(|mut top| top.get("modules")?.object(&schema::MODULES));
        let search_dirs = self.search_dirs(working_dir);
        let read = |mut object: ObjectReader<'_>| {
            let directories = module_directories(&mut object, &search_dirs);
            policy(&mut object, &search_dirs, &directories)
        };
        modules.map(read).unwrap_or_default()
    }

    /// Modules in `modules.directories`, whatever else is wrong with the file.
    pub fn known_modules(&self, working_dir: &Path) -> Vec<KnownModule> {
        let report = Report::new("");
        let top = Cursor::root(&self.root, &report, &schema::DOCUMENT).object(&schema::TOP);
        let modules = top.and_then(|mut top| top.get("modules")?.object(&schema::MODULES));
        let search_dirs = self.search_dirs(working_dir);
        modules.map(|mut object| known_modules(&mut object, &search_dirs)).unwrap_or_default()
    }

    /// Where relative paths are looked up.
    fn search_dirs(&self, working_dir: &Path) -> Vec<PathBuf> {
        let folder = self.folder.as_deref().or_else(|| self.path.parent());
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.map_or_else(|| working_dir.to_path_buf(), |folder| working_dir.join(folder));
        let mut dirs = vec![folder];
        if dirs.iter().all(|dir| dir != working_dir) {
            dirs.push(working_dir.to_path_buf());
        }
        dirs
    }

    /// Checks everything and builds what `mode` says; where nothing has changed
    /// since the configuration of `before`, its factories are taken over.
    pub fn resolve(
        &self,
        registry: &Registry,
        env: &LoadEnv,
        mode: LoadMode,
        before: Option<&FilterCache>,
    ) -> Result<Config, ConfigErrors> {
        let cache = FilterCache::following(before, env.workers, env.key_log.clone());
        let build_env = BuildEnv {
            metrics: env.metrics.clone(),
            workers: env.workers,
            search_dirs: self.search_dirs(&env.working_dir),
            regexes: cache.regexes().clone(),
            reads: Reads::default(),
            plugins: registry.plugin_callers().cloned(),
        };
        let chains = Chains::new(registry, &build_env, mode, before, cache);
        let mut config = resolve(&self.root, self.read.names.clone(), chains)?;
        config.watched.extend(self.files().iter().cloned());
        config.watched.sort();
        config.watched.dedup();
        config.watched_directories.extend(self.read.directories.iter().cloned());
        Ok(config)
    }
}

/// Reads, checks and builds: [`ConfigFile::read`] and [`ConfigFile::resolve`].
pub fn load(path: &Path, registry: &Registry, env: &LoadEnv, mode: LoadMode) -> Result<Config, ConfigErrors> {
    ConfigFile::read(path)?.resolve(registry, env, mode, None)
}

/// Why there is no document, and where.
pub(crate) type Unreadable = (Option<Position>, Finding);

/// A document that was read, and the size and SHA-256 of its text.
pub(crate) struct Document {
    pub node: Node,
    pub size: u64,
    pub digest: [u8; 32],
}

/// Reads a JSON or YAML file of at most `limit` bytes.
pub(crate) fn read_document(path: &Path, limit: u64, source: &dyn Source) -> Result<Document, Unreadable> {
    document_of(path, source.read(path, limit))
}

fn stdin() -> Result<Vec<u8>, ReadError> {
    read_bounded(std::io::stdin().lock(), MAX_BYTES as u64)
}

fn document_of(path: &Path, read: Result<Vec<u8>, ReadError>) -> Result<Document, Unreadable> {
    let bytes = read.map_err(|error| (None, Finding::said(kind::IO, format!("cannot read the file: {error}"))))?;
    let (size, digest) = (bytes.len() as u64, Sha256::digest(&bytes).into());
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        (Some(end_of(valid)), Finding::mismatch(kind::SYNTAX, "UTF-8", "other bytes"))
    })?;
    parse_document(path, &text).map(|node| Document { node, size, digest })
}

fn parse_document(path: &Path, text: &str) -> Result<Node, Unreadable> {
    document::parse(text, Format::of(path, text))
        .map_err(|error| (Some(error.position), Finding::mismatch(kind::SYNTAX, error.expected, error.found)))
}

/// Position of the character after `bytes`.
fn end_of(bytes: &[u8]) -> Position {
    let lines = bytes.iter().filter(|b| **b == b'\n').count();
    let line = bytes.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    let characters = String::from_utf8_lossy(line).chars().count();
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position::new(narrow(lines + 1), narrow(characters + 1))
}
