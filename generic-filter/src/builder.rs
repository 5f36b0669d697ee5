//! The builder of filters that come from modules.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sidegate_api::{BuildEnv, FilterConfigError, FilterSpec, Fingerprint, ModuleSpec, ModuleStatus};
use sidegate_api::{StreamFilterBuilder, StreamFilterFactory};

use crate::control::ModuleControl;
use crate::create;
use crate::factory::{FactoryCore, ModuleFactory, Plugins};
use crate::generation::Generation;
use crate::loaded::{LoadEnv, LoadedModule};
use crate::manifest::{agrees, agrees_with_route};
use crate::oversight::Oversight;
use crate::plugins;
use crate::policy::Policy;
use crate::preflight::{Preflight, SealedModule, signature_file};
use crate::refusal::{Reason, Refusal};
use crate::registry::Registry;
use crate::unload::Unloader;
use crate::wish::{Wish, Wishing};
use crate::workers::{WorkerErrands, Workers};

/// Builds filters from modules: checks the file, loads it once however many
/// filters use it, and asks it for factories. What nothing uses any more is
/// unloaded.
#[derive(Debug)]
pub struct GenericFilter {
    policy: RwLock<Policy>,
    control: Arc<ModuleControl>,
    registry: Arc<Registry>,
    workers: Workers,
    /// Of modules that were checked: what prevents their unloading.
    lasting: Mutex<BTreeMap<String, Lasting>>,
    /// Of modules that were checked: what their manifests say they send to.
    sends_to: Mutex<BTreeMap<String, SendsTo>>,
    /// Held while loading: two entries of one file must share one copy.
    loading: Mutex<()>,
    /// Only a process that serves unmaps: what a start or a check has loaded
    /// goes with it.
    unmaps: Arc<AtomicBool>,
}

/// A generation that has its number. If it was not loaded when this is dropped,
/// also as part of a job that never ran, it is forgotten.
struct Begun {
    registry: Arc<Registry>,
    generation: Arc<Generation>,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.registry.forget_unloaded(&self.generation);
    }
}

/// A module that will not leave the process once it was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lasting {
    /// Its name.
    pub module: String,
    /// Its file.
    pub file: PathBuf,
    /// Why, at least once.
    pub why: Vec<String>,
}

/// A module and the clusters that its manifest says it sends to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendsTo {
    /// Its name.
    pub module: String,
    /// Its file.
    pub file: PathBuf,
    /// Names of clusters.
    pub clusters: Vec<String>,
}

/// A file that was read, or everything that is wrong with it.
pub(crate) type Opened = Arc<Result<Arc<SealedModule>, Vec<Refusal>>>;

impl GenericFilter {
    /// A builder under `policy`. Starts the module-control thread, on which
    /// everything of modules runs that does not belong to a stream.
    pub fn new(policy: Policy) -> io::Result<Self> {
        Ok(GenericFilter {
            policy: RwLock::new(policy),
            control: Arc::new(ModuleControl::start()?),
            registry: Arc::default(),
            workers: Workers::default(),
            lasting: Mutex::default(),
            sends_to: Mutex::default(),
            loading: Mutex::default(),
            unmaps: Arc::default(),
        })
    }

    /// A builder over the same modules that makes the new generation that
    /// `wish` asks for, shared by all entries of that module; for one resolve.
    pub fn wishing(self: &Arc<Self>, wish: Wish) -> Arc<dyn StreamFilterBuilder> {
        Arc::new(Wishing { filter: self.clone(), wish, made: Mutex::default() })
    }

    /// Traffic is served from now on, by workers that do `errands`: what nothing
    /// uses is unmapped, what it leaves on workers' threads is taken back there,
    /// and nobody waits without a bound for a module any more.
    pub fn serve_with(&self, errands: Arc<dyn WorkerErrands>) {
        self.workers.set(errands);
        self.control.set_serving();
        self.unmaps.store(true, Ordering::Release);
    }

    /// What is permitted from now on, to modules that are read for the next
    /// configuration.
    pub fn set_policy(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    fn policy(&self) -> Policy {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A configuration with modules of these names alone serves new streams.
    pub fn in_use(&self, names: &BTreeSet<&str>) {
        self.registry.retire_all_but(names);
    }

    /// One entry per module that is in the process, by name.
    pub fn modules(&self) -> Vec<ModuleStatus> {
        self.registry.status()
    }

    /// Modules among those that were checked that will not be unloaded, by
    /// name.
    pub fn lasting(&self) -> Vec<Lasting> {
        self.lasting.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Clusters that the modules that were checked say they send to, by name.
    pub fn sends_to(&self) -> Vec<SendsTo> {
        self.sends_to.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Waits until factories and route objects that nothing uses any more are
    /// destroyed, and their modules unmapped unless a thread still holds them.
    pub fn settle(&self) {
        self.control.settle();
    }

    /// Waits until what nothing uses any more is destroyed, so that modules can
    /// end what they started; nothing is unmapped from now on. For a process
    /// that is about to end, after its workers have ended.
    pub fn end(&self) {
        self.unmaps.store(false, Ordering::Release);
        self.control.settle();
    }

    /// The module's file as it was when this configuration was first checked:
    /// what was checked is what is loaded.
    pub(crate) fn open(&self, module: &ModuleSpec, env: &BuildEnv) -> Opened {
        let file = env.resolve(&module.so_path);
        let policy = self.policy();
        if module.watch {
            env.reads.watch(&file);
            if !policy.signatures.trusted.is_empty() {
                // Whichever of the two is written first is wrong without the other.
                env.reads.watch(&signature_file(&file));
            }
        }
        let read = || Preflight::open(&file, module.sha256, &policy).map(Arc::new);
        let opened = env.reads.once((file.clone(), module.sha256), read);
        if let Ok(sealed) = &*opened {
            self.note_clusters(&module.name, sealed);
            let mut lasting = self.lasting.lock().unwrap_or_else(PoisonError::into_inner);
            match sealed.facts.not_reloadable.as_slice() {
                [] => drop(lasting.remove(&module.name)),
                why => {
                    let (name, why) = (module.name.clone(), why.to_vec());
                    lasting.insert(name.clone(), Lasting { module: name, file, why });
                }
            }
        }
        opened
    }

    fn note_clusters(&self, module: &str, sealed: &SealedModule) {
        let named = sealed.facts.manifest.iter().flat_map(|manifest| &manifest.clusters);
        let clusters: Vec<String> = named.map(|cluster| cluster.name.clone()).collect();
        let note = SendsTo { module: module.to_owned(), file: sealed.file.clone(), clusters };
        self.sends_to.lock().unwrap_or_else(PoisonError::into_inner).insert(note.module.clone(), note);
    }

    /// The bytes of a former generation.
    pub(crate) fn former(
        &self,
        module: &ModuleSpec,
        digest: &[u8; 32],
        env: &BuildEnv,
    ) -> Result<Arc<SealedModule>, Refusal> {
        let file = env.resolve(&module.so_path);
        if let Some(pinned) = module.sha256.filter(|pinned| pinned != digest) {
            let (expected, found) = (crate::text::hex(&pinned), crate::text::hex(digest));
            return Err(Refusal::new(&file, Reason::HashMismatch { expected, found }));
        }
        let former = self.registry.bytes_of(&module.name, digest);
        let admitted = former.and_then(|former| former.admit(&self.policy()).map(|()| former));
        admitted.map_err(|reason| Refusal::new(&file, reason))
    }

    /// The loaded module with these bytes and this name.
    fn load(
        &self,
        sealed: Arc<SealedModule>,
        module: &ModuleSpec,
        env: &BuildEnv,
    ) -> Result<Arc<LoadedModule>, Refusal> {
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        match self.registry.find(&module.name, &sealed.sha256) {
            Some(known) => Ok(known),
            None => self.load_locked(sealed, module, env),
        }
    }

    /// A new generation of these bytes, whatever is loaded.
    pub(crate) fn load_anew(
        &self,
        sealed: Arc<SealedModule>,
        module: &ModuleSpec,
        env: &BuildEnv,
    ) -> Result<Arc<LoadedModule>, Refusal> {
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        self.load_locked(sealed, module, env)
    }

    fn load_locked(
        &self,
        sealed: Arc<SealedModule>,
        module: &ModuleSpec,
        env: &BuildEnv,
    ) -> Result<Arc<LoadedModule>, Refusal> {
        let file = sealed.file.clone();
        let refused = |reason| Refusal::new(&file, reason);
        if sealed.facts.go_runtime {
            crate::go::claim(&module.name).map_err(refused)?;
        }
        let sealed = match sealed.mapped.load(Ordering::Acquire) {
            true => Arc::new(sealed.copy().map_err(refused)?),
            false => sealed,
        };
        if !sealed.facts.not_reloadable.is_empty() {
            let why = sealed.facts.not_reloadable.join("; ");
            tracing::warn!(target: "module", module = module.name.as_str(), "it will not be unloaded: {why}");
        }
        let generation = self.registry.begin(&module.name, &sealed, &env.metrics).map_err(refused)?;
        let unloader =
            Unloader::new(self.control.clone(), self.registry.clone(), self.workers.clone(), self.unmaps.clone());
        let env = LoadEnv { metrics: env.metrics.clone(), workers: env.workers, unloader };
        let begun = Begun { registry: self.registry.clone(), generation };
        let made = self.control.run(move || {
            let module = LoadedModule::load(sealed, begun.generation.clone(), env).map(Arc::new)?;
            // Here, as the asker may be gone.
            begun.registry.loaded(&module);
            Ok(module)
        });
        made.unwrap_or_else(|none| Err(refused(none.into())))
    }

    fn make_factory(
        &self,
        loaded: &Arc<LoadedModule>,
        module: &ModuleSpec,
        spec: &FilterSpec,
        env: &BuildEnv,
        plugins: Plugins,
    ) -> Result<Arc<FactoryCore>, Refusal> {
        let config = if spec.config.is_null() { "{}".to_owned() } else { spec.config.to_string() };
        let name = if module.filter.is_empty() { spec.name.clone() } else { module.filter.clone() };
        let oversight = Oversight::new(module, &name, &env.metrics);
        let (filter, workers, asked) = (module.filter.clone(), env.workers, loaded.clone());
        let names: Vec<String> = plugins.keys().cloned().collect();
        let made = self.control.run(move || {
            let parts = create::create(&asked, &filter, &config, workers, &names)?;
            // Made here, so that one that nobody waits for is destroyed.
            Ok(FactoryCore::new(asked, parts, name, oversight, plugins, workers))
        });
        let file = &loaded.generation.file;
        made.unwrap_or_else(|none| Err(none.into())).map_err(|reason| Refusal::new(file, reason))
    }

    /// The filter's factory from a loaded module.
    pub(crate) fn finish(
        &self,
        loaded: &Arc<LoadedModule>,
        module: &ModuleSpec,
        spec: &FilterSpec,
        env: &BuildEnv,
    ) -> Result<Arc<dyn StreamFilterFactory>, Vec<FilterConfigError>> {
        let plugins = plugins::open(module, env)?;
        let made = self.make_factory(loaded, module, spec, env, plugins);
        let core = made.map_err(|refusal| vec![config_error(&refusal, module)])?;
        Ok(Arc::new(ModuleFactory::new(core)))
    }
}

impl StreamFilterBuilder for GenericFilter {
    fn check(&self, spec: &FilterSpec, env: &BuildEnv) -> Result<(), Vec<FilterConfigError>> {
        let module = module_of(spec)?;
        let sealed = sealed(&self.open(module, env), module)?;
        plugins::check(module, env)?;
        match &sealed.facts.manifest {
            Some(manifest) => agrees(manifest, &sealed.file, module, &spec.config),
            None => Ok(()),
        }
    }

    fn check_route_config(
        &self,
        spec: &FilterSpec,
        config: &serde_json::Value,
        env: &BuildEnv,
    ) -> Result<(), Vec<FilterConfigError>> {
        let Some(module) = &spec.module else { return Ok(()) };
        // What is wrong with the module is said of the filter.
        match self
            .open(module, env)
            .as_ref()
            .as_ref()
            .ok()
            .and_then(|sealed| Some((sealed, sealed.facts.manifest.as_ref()?)))
        {
            Some((sealed, manifest)) => agrees_with_route(manifest, &sealed.file, module, config),
            None => Ok(()),
        }
    }

    fn check_directory(&self, directory: &Path) -> Result<(), FilterConfigError> {
        let refused = |refusal: Refusal| FilterConfigError::new("", refusal.to_string()).with_kind(refusal.kind());
        Preflight::check_directory(directory, &self.policy()).map_err(refused)
    }

    fn fingerprint(&self, spec: &FilterSpec, env: &BuildEnv) -> Fingerprint {
        let opened = spec.module.as_ref().map(|module| self.open(module, env));
        let sealed = opened.as_deref().and_then(|opened| opened.as_ref().ok());
        let of_file = sealed.map_or(Fingerprint::SPEC, |sealed| Fingerprint::of(sealed.sha256));
        spec.module.as_ref().map_or(of_file, |module| plugins::fingerprint(of_file, module, env))
    }

    fn build(&self, spec: &FilterSpec, env: &BuildEnv) -> Result<Arc<dyn StreamFilterFactory>, Vec<FilterConfigError>> {
        let module = module_of(spec)?;
        let opened = self.open(module, env);
        let sealed = sealed(&opened, module)?;
        let loaded = self.load(sealed, module, env).map_err(|refusal| vec![config_error(&refusal, module)])?;
        self.finish(&loaded, module, spec, env)
    }
}

pub(crate) fn module_of(spec: &FilterSpec) -> Result<&ModuleSpec, Vec<FilterConfigError>> {
    spec.module.as_ref().ok_or_else(|| {
        let message = format!("expected `so_config` in a filter of type `{}`, found none", spec.filter_type);
        vec![FilterConfigError::new("", message)]
    })
}

/// What was read, or everything that is wrong with it.
pub(crate) fn sealed(opened: &Opened, module: &ModuleSpec) -> Result<Arc<SealedModule>, Vec<FilterConfigError>> {
    let refused = |refusals: &Vec<Refusal>| refusals.iter().map(|refusal| config_error(refusal, module)).collect();
    opened.as_ref().as_ref().cloned().map_err(refused)
}

pub(crate) fn config_error(refusal: &Refusal, module: &ModuleSpec) -> FilterConfigError {
    let key = module.source.key();
    let path = match &refusal.reason {
        Reason::HashMismatch { .. } => format!("{key}.sha256"),
        Reason::FilterNotFound { .. } | Reason::FilterNotInManifest { .. } => format!("{key}.filter"),
        Reason::NoInterest { filter } if !filter.is_empty() => format!("{key}.filter"),
        Reason::FactoryRefused { path, .. } if path.is_empty() => "config".to_owned(),
        Reason::FactoryRefused { path, .. } if path.starts_with('[') => format!("config{path}"),
        Reason::FactoryRefused { path, .. } => format!("config.{path}"),
        Reason::FactoryPanicked { .. } => "config".to_owned(),
        Reason::NoFormerGeneration { .. } => format!("{key}.sha256"),
        _ => format!("{key}.{}", module.source.file_key()),
    };
    FilterConfigError::new(path, refusal.to_string()).with_kind(refusal.kind())
}
