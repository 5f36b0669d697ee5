//! How filter types are registered and how their factories are built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::{
    AccessLogSinkBuilder, CertificateBuilder, FilterConfigError, Fingerprint, HookStatus, Metrics, PluginCallers,
    QuarantineStatus, Reads, RegexBudget, StreamFilterFactory,
};

/// What happens to a stream whose filter faulted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FaultPolicy {
    /// Answer 500.
    #[default]
    Reply500,
    /// Go on without the filter; reset if it already changed body bytes.
    Pass,
    /// Close without a reply.
    Reset,
}

/// What follows when a filter faults too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarantine {
    /// Faults that trip it.
    pub faults: u32,
    /// Window they are counted in.
    pub within: Duration,
    /// What follows.
    pub then: QuarantineAction,
    /// `for`: how long, until streams try the filter again; `None`: until a
    /// reload.
    pub lasts: Option<Duration>,
}

/// What a quarantined filter does to streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuarantineAction {
    /// Streams are refused as by `FaultPolicy::Reply500`.
    Closed,
    /// Streams go on without the filter.
    Bypass,
}

/// Which configuration key named a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleSource {
    /// `so_config`
    SoConfig,
    /// `so_config`, by the name of a file in a directory.
    Directory,
    /// MOSN's `go_plugin_config`
    GoPluginConfig,
}

impl ModuleSpec {
    /// Bound for slow hooks, unless said otherwise.
    pub const SLOW_HOOK: Duration = Duration::from_millis(10);
}

impl ModuleSource {
    /// The key.
    pub fn key(self) -> &'static str {
        match self {
            ModuleSource::SoConfig | ModuleSource::Directory => "so_config",
            ModuleSource::GoPluginConfig => "go_plugin_config",
        }
    }

    /// The key in it that leads to the file.
    pub fn file_key(self) -> &'static str {
        match self {
            ModuleSource::SoConfig | ModuleSource::GoPluginConfig => "so_path",
            ModuleSource::Directory => "module",
        }
    }
}

/// A module that a filter comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleSpec {
    /// Key that named it.
    pub source: ModuleSource,
    /// The path as written; of a module that is known by name the file in its
    /// directory.
    pub so_path: PathBuf,
    /// Unique, URL-safe name; the file's stem by default.
    pub name: String,
    /// Filter to ask the module for; empty for its only one.
    pub filter: String,
    /// Pinned digest of the file.
    pub sha256: Option<[u8; 32]>,
    /// Quarantine, if wanted.
    pub quarantine: Option<Quarantine>,
    /// A hook that takes as long is counted, and told in the log.
    pub slow_hook: Duration,
    /// Whether a change of its file reloads it.
    pub watch: bool,
    /// How long tunnels may keep filters that wait for `on_complete` once there
    /// is a newer generation; `None`: to their end.
    pub generation_timeout: Option<Duration>,
    /// Plugins that it may call and no others, as the configuration describes
    /// them, by the name that the module has for each.
    pub plugins: BTreeMap<String, serde_json::Value>,
}

/// One entry of a filter chain's configuration, typed as far as the host can.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterSpec {
    /// The `type` of the entry.
    pub filter_type: String,
    /// Name for `per_filter_config`, metrics and logs: the module's name, the
    /// entry's `name`, or its type.
    pub name: String,
    /// The `config` object; an empty object if absent.
    pub config: serde_json::Value,
    /// Set if the entry names a module.
    pub module: Option<ModuleSpec>,
    /// What a fault does.
    pub on_fault: FaultPolicy,
}

/// What a builder may use.
#[derive(Debug, Clone)]
pub struct BuildEnv {
    /// Where the factory defines its metrics.
    pub metrics: Metrics,
    /// Number of workers.
    pub workers: usize,
    /// Folders in which relative paths are looked up, in order.
    pub search_dirs: Vec<PathBuf>,
    /// What is left for regular expressions.
    pub regexes: RegexBudget,
    /// What was read for this configuration.
    pub reads: Reads,
    /// Who makes callers of plugins; `None` where there are no plugins.
    pub plugins: Option<Arc<dyn PluginCallers>>,
}

impl BuildEnv {
    /// `path` if absolute, else the first that exists below the search
    /// folders, else the first candidate (so that errors name it).
    pub fn resolve(&self, path: &Path) -> PathBuf {
        look_up(&self.search_dirs, path)
    }
}

/// `path` if absolute, else the first that exists below `search_dirs`, else the
/// first candidate.
pub fn look_up(search_dirs: &[PathBuf], path: &Path) -> PathBuf {
    if path.is_absolute() {
        return path.to_path_buf();
    }
    let mut candidates = search_dirs.iter().map(|dir| dir.join(path));
    let first = candidates.next();
    match first {
        Some(first) if !first.exists() => candidates.find(|c| c.exists()).unwrap_or(first),
        Some(first) => first,
        None => path.to_path_buf(),
    }
}

/// Builds factories of one filter type.
pub trait StreamFilterBuilder: Send + Sync {
    /// Everything that can be said about `spec` without running foreign code.
    fn check(&self, spec: &FilterSpec, env: &BuildEnv) -> Result<(), Vec<FilterConfigError>>;

    /// What can be said of one entry of `per_filter_config` for this filter
    /// without running foreign code.
    fn check_route_config(
        &self,
        spec: &FilterSpec,
        config: &serde_json::Value,
        env: &BuildEnv,
    ) -> Result<(), Vec<FilterConfigError>> {
        let _ = (spec, config, env);
        Ok(())
    }

    /// JSON Schema (draft 2020-12) of the filter's `config`, for
    /// `sidegate schema` and the reference page. Self-contained: no `$ref`, as
    /// it becomes part of a larger schema. Whatever it refuses,
    /// [`check`](Self::check) must refuse too. What it marks `writeOnly` is a
    /// secret, which no dump of the configuration shows.
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({"type": "object"})
    }

    /// What a factory for `spec` depends on beside it, such as the content of
    /// files that it names. Files are read through [`BuildEnv::reads`], so that
    /// this is about what [`build`](Self::build) takes. What cannot be read is
    /// for [`check`](Self::check) to say.
    fn fingerprint(&self, spec: &FilterSpec, env: &BuildEnv) -> Fingerprint {
        let _ = (spec, env);
        Fingerprint::SPEC
    }

    /// Whether modules may come from a directory, whatever is in it; of the
    /// builder of modules alone.
    fn check_directory(&self, directory: &Path) -> Result<(), FilterConfigError> {
        let _ = directory;
        Ok(())
    }

    /// Whether `spec` gets a new factory although neither it nor its
    /// fingerprint has changed, as somebody asked for one.
    fn renews(&self, spec: &FilterSpec) -> bool {
        let _ = spec;
        false
    }

    /// Checks and builds.
    fn build(&self, spec: &FilterSpec, env: &BuildEnv) -> Result<Arc<dyn StreamFilterFactory>, Vec<FilterConfigError>>;
}

/// Facts of a loaded module, for the admin page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleStatus {
    /// Unique name.
    pub name: String,
    /// File it was read from.
    pub file: String,
    /// Digest of the bytes that run, hexadecimal.
    pub sha256: String,
    /// ABI it was built for, `major.minor`.
    pub abi: String,
    /// The module's own version.
    pub version: String,
    /// 1 for the first load, counting up with each reload.
    pub generation: u64,
    /// Filters in use from it.
    pub filters: Vec<String>,
    /// Streams that hold any of its generations now.
    pub streams: u64,
    /// Faults since it was loaded.
    pub faults: u64,
    /// How long its filters' hooks take.
    pub hooks: Vec<HookStatus>,
    /// Where its filters are that may come into quarantine.
    pub quarantine: Vec<QuarantineStatus>,
    /// Its loaded copies, oldest first; the fields above are of the one that
    /// new streams take.
    pub generations: Vec<GenerationStatus>,
}

/// One loaded copy of a module's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationStatus {
    /// Its number; never used again for this module in a process.
    pub generation: u64,
    /// Digest of its bytes, hexadecimal.
    pub sha256: String,
    /// Where in its life it is.
    pub state: GenerationState,
    /// Filters that are still made of it, or were not destroyed yet.
    pub filters: Vec<String>,
    /// Streams that hold it.
    pub streams: u64,
    /// Resume handles that it holds.
    pub resume_handles: u64,
    /// Threads that it started and that have not ended.
    pub threads: u64,
    /// Why it stays in the process, if it does.
    pub reason: Option<String>,
}

/// Where in its life a generation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GenerationState {
    /// Being loaded, or loaded and not yet used by any worker.
    Loading,
    /// New streams take it.
    Current,
    /// New streams take another one; streams, handles or threads hold it.
    Draining,
    /// Nothing uses it; threads are detached and it is unmapped.
    Unloading,
    /// It has left the process.
    Unmapped,
    /// Nothing uses it, but it could not be unmapped.
    Kept,
}

impl GenerationState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Loading, Self::Current, Self::Draining, Self::Unloading, Self::Unmapped, Self::Kept];

    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            GenerationState::Loading => "loading",
            GenerationState::Current => "current",
            GenerationState::Draining => "draining",
            GenerationState::Unloading => "unloading",
            GenerationState::Unmapped => "unmapped",
            GenerationState::Kept => "kept",
        }
    }
}

/// The extensions this process knows. A value, filled by the server (or a
/// test): nothing registers itself.
#[derive(Default, Clone)]
pub struct Registry {
    stream_filters: BTreeMap<String, Arc<dyn StreamFilterBuilder>>,
    modules: Option<Arc<dyn StreamFilterBuilder>>,
    certificates: BTreeMap<String, Arc<dyn CertificateBuilder>>,
    plugins: Option<Arc<dyn PluginCallers>>,
    access_logs: Option<Arc<dyn AccessLogSinkBuilder>>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a filter type under `filter_type`.
    pub fn stream_filter(&mut self, filter_type: &str, builder: Arc<dyn StreamFilterBuilder>) -> &mut Self {
        self.stream_filters.insert(filter_type.to_owned(), builder);
        self
    }

    /// Registers the builder for every entry that names a module, whatever its
    /// type says.
    pub fn modules(&mut self, builder: Arc<dyn StreamFilterBuilder>) -> &mut Self {
        self.modules = Some(builder);
        self
    }

    /// Registers what brings certificates, by the `type` of a TLS context.
    pub fn certificates(&mut self, context_type: &str, builder: Arc<dyn CertificateBuilder>) -> &mut Self {
        self.certificates.insert(context_type.to_owned(), builder);
        self
    }

    /// What brings certificates to contexts of a type.
    pub fn certificate_builder(&self, context_type: &str) -> Option<&Arc<dyn CertificateBuilder>> {
        self.certificates.get(context_type)
    }

    /// Types of contexts whose certificates are brought, sorted.
    pub fn certificate_types(&self) -> impl Iterator<Item = &str> {
        self.certificates.keys().map(String::as_str)
    }

    /// Registers who makes callers of plugins.
    pub fn plugins(&mut self, callers: Arc<dyn PluginCallers>) -> &mut Self {
        self.plugins = Some(callers);
        self
    }

    /// Who makes callers of plugins.
    pub fn plugin_callers(&self) -> Option<&Arc<dyn PluginCallers>> {
        self.plugins.as_ref()
    }

    /// Types of contexts whose certificates are brought with what brings them,
    /// sorted by type.
    pub fn certificate_builders(&self) -> impl Iterator<Item = (&str, &Arc<dyn CertificateBuilder>)> {
        self.certificates.iter().map(|(name, builder)| (name.as_str(), builder))
    }

    /// Registers what takes lines of access logs whose entries have `plugin`.
    pub fn access_logs(&mut self, builder: Arc<dyn AccessLogSinkBuilder>) -> &mut Self {
        self.access_logs = Some(builder);
        self
    }

    /// What takes lines of access logs whose entries have `plugin`.
    pub fn access_log_builder(&self) -> Option<&Arc<dyn AccessLogSinkBuilder>> {
        self.access_logs.as_ref()
    }

    /// The builder for entries that name a module.
    pub fn module_builder(&self) -> Option<&Arc<dyn StreamFilterBuilder>> {
        self.modules.as_ref()
    }

    /// The builder for `spec`.
    pub fn builder_for(&self, spec: &FilterSpec) -> Option<&Arc<dyn StreamFilterBuilder>> {
        if spec.module.is_some() {
            return self.modules.as_ref();
        }
        self.stream_filters.get(&spec.filter_type)
    }

    /// Registered filter types with their builders, sorted by type.
    pub fn stream_filters(&self) -> impl Iterator<Item = (&str, &Arc<dyn StreamFilterBuilder>)> {
        self.stream_filters.iter().map(|(filter_type, builder)| (filter_type.as_str(), builder))
    }

    /// Registered types, sorted.
    pub fn stream_filter_types(&self) -> impl Iterator<Item = &str> {
        self.stream_filters.keys().map(String::as_str)
    }
}
