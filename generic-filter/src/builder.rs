//! The builder of filters that come from modules.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use sidegate_api::{BuildEnv, FilterConfigError, FilterSpec, Fingerprint, ModuleSpec, ModuleStatus};
use sidegate_api::{StreamFilterBuilder, StreamFilterFactory};

use crate::control::ModuleControl;
use crate::create;
use crate::factory::{FactoryCore, ModuleFactory};
use crate::loaded::LoadedModule;
use crate::oversight::Oversight;
use crate::policy::Policy;
use crate::preflight::{Preflight, SealedModule};
use crate::refusal::{Reason, Refusal};

/// Builds filters from modules: checks the file, loads it once however many
/// filters use it, and asks it for factories.
#[derive(Debug)]
pub struct GenericFilter {
    policy: Policy,
    control: Arc<ModuleControl>,
    loaded: Mutex<Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    modules: Vec<Arc<LoadedModule>>,
    /// Last generation of each module's name.
    generations: BTreeMap<String, u64>,
}

/// A file that was read, or everything that is wrong with it.
type Opened = Arc<Result<SealedModule, Vec<Refusal>>>;

impl GenericFilter {
    /// A builder under `policy`. Starts the module-control thread, on which
    /// everything of modules runs that does not belong to a stream.
    pub fn new(policy: Policy) -> io::Result<Self> {
        Ok(GenericFilter { policy, control: Arc::new(ModuleControl::start()?), loaded: Mutex::default() })
    }

    /// One entry per loaded module that is in use, by name and generation.
    pub fn modules(&self) -> Vec<ModuleStatus> {
        let modules = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).modules.clone();
        let mut all: Vec<_> = modules.iter().map(|module| module.status()).filter(|s| !s.filters.is_empty()).collect();
        all.sort_by(|a, b| (&a.name, a.generation).cmp(&(&b.name, b.generation)));
        all
    }

    /// Waits until factories and route objects that nothing uses any more are
    /// destroyed. Destroying happens on a thread of its own; a process that is
    /// about to end calls this after its workers have ended, so that modules
    /// can end what they started.
    pub fn settle(&self) {
        self.control.settle();
    }

    /// The module's file as it was when this configuration was first checked:
    /// what was checked is what is loaded.
    fn open(&self, module: &ModuleSpec, env: &BuildEnv) -> Opened {
        let file = env.resolve(&module.so_path);
        if module.watch {
            env.reads.watch(&file);
        }
        env.reads.once((file.clone(), module.sha256), || Preflight::open(&file, module.sha256, &self.policy))
    }

    /// The loaded module with these bytes and this name.
    fn load(&self, sealed: &SealedModule, module: &ModuleSpec, env: &BuildEnv) -> Result<Arc<LoadedModule>, Refusal> {
        // Held while loading: two entries of one file must share one copy.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &&Arc<LoadedModule>| known.identity.name == module.name && known.sha256 == sealed.sha256;
        if let Some(known) = loaded.modules.iter().find(same) {
            return Ok(known.clone());
        }
        let generation = loaded.generations.get(&module.name).map_or(1, |last| last + 1);
        let (name, metrics, file) = (module.name.clone(), env.metrics.clone(), sealed.file.clone());
        let sealed = sealed.try_clone().map_err(|error| Refusal::new(&file, Reason::CopyFailed { error }))?;
        let made = self.control.run(move || LoadedModule::load(sealed, &name, generation, &metrics));
        let failed =
            || Refusal::new(&file, Reason::LoadFailed { error: "the module-control thread failed".to_owned() });
        let made = Arc::new(made.unwrap_or_else(|| Err(failed()))?);
        loaded.generations.insert(module.name.clone(), generation);
        loaded.modules.push(made.clone());
        Ok(made)
    }

    fn make_factory(
        &self,
        loaded: &Arc<LoadedModule>,
        module: &ModuleSpec,
        spec: &FilterSpec,
        env: &BuildEnv,
    ) -> Result<Arc<FactoryCore>, Refusal> {
        let config = if spec.config.is_null() { "{}".to_owned() } else { spec.config.to_string() };
        let (filter, workers, asked) = (module.filter.clone(), env.workers, loaded.clone());
        let made = self.control.run(move || create::create(&asked, &filter, &config, workers));
        let failed = || Reason::LoadFailed { error: "the module-control thread failed".to_owned() };
        let parts = made.unwrap_or_else(|| Err(failed())).map_err(|reason| Refusal::new(&loaded.file, reason))?;
        let name = if module.filter.is_empty() { spec.name.clone() } else { module.filter.clone() };
        let oversight = Oversight::new(module, &name, &env.metrics);
        Ok(FactoryCore::new(loaded.clone(), self.control.clone(), parts, name, oversight, workers))
    }
}

impl StreamFilterBuilder for GenericFilter {
    fn check(&self, spec: &FilterSpec, env: &BuildEnv) -> Result<(), Vec<FilterConfigError>> {
        let module = module_of(spec)?;
        sealed(&self.open(module, env), module).map(drop)
    }

    fn fingerprint(&self, spec: &FilterSpec, env: &BuildEnv) -> Fingerprint {
        let opened = spec.module.as_ref().map(|module| self.open(module, env));
        let sealed = opened.as_deref().and_then(|opened| opened.as_ref().ok());
        sealed.map_or(Fingerprint::SPEC, |sealed| Fingerprint::of(sealed.sha256))
    }

    fn build(&self, spec: &FilterSpec, env: &BuildEnv) -> Result<Arc<dyn StreamFilterFactory>, Vec<FilterConfigError>> {
        let module = module_of(spec)?;
        let opened = self.open(module, env);
        let sealed = sealed(&opened, module)?;
        let made = self.load(sealed, module, env).and_then(|loaded| self.make_factory(&loaded, module, spec, env));
        match made {
            Ok(core) => Ok(Arc::new(ModuleFactory::new(core))),
            Err(refusal) => Err(vec![config_error(&refusal, module)]),
        }
    }
}

fn module_of(spec: &FilterSpec) -> Result<&ModuleSpec, Vec<FilterConfigError>> {
    spec.module.as_ref().ok_or_else(|| {
        let message = format!("expected `so_config` in a filter of type `{}`, found none", spec.filter_type);
        vec![FilterConfigError::new("", message)]
    })
}

fn sealed<'o>(opened: &'o Opened, module: &ModuleSpec) -> Result<&'o SealedModule, Vec<FilterConfigError>> {
    let refused = |refusals: &Vec<Refusal>| refusals.iter().map(|refusal| config_error(refusal, module)).collect();
    opened.as_ref().as_ref().map_err(refused)
}

fn config_error(refusal: &Refusal, module: &ModuleSpec) -> FilterConfigError {
    let key = module.source.key();
    let path = match &refusal.reason {
        Reason::HashMismatch { .. } => format!("{key}.sha256"),
        Reason::FilterNotFound { .. } => format!("{key}.filter"),
        Reason::NoInterest { filter } if !filter.is_empty() => format!("{key}.filter"),
        Reason::FactoryRefused { path, .. } if path.is_empty() => "config".to_owned(),
        Reason::FactoryRefused { path, .. } if path.starts_with('[') => format!("config{path}"),
        Reason::FactoryRefused { path, .. } => format!("config.{path}"),
        Reason::FactoryPanicked { .. } => "config".to_owned(),
        _ => format!("{key}.so_path"),
    };
    FilterConfigError::new(path, refusal.to_string()).with_kind(refusal.kind())
}
