//! All generations of all modules, and the bytes of former ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use sidegate_api::{Counter, Gauge, GenerationState, Metrics, ModuleStatus};

use crate::generation::{Family, Generation, Stage};
use crate::loaded::LoadedModule;
use crate::preflight::SealedModule;
use crate::refusal::Reason;
use crate::text;

/// Generations of one module in the process at once.
const MAX_GENERATIONS: usize = 8;
/// Former bytes that are kept of a module that is in use.
const FORMER: usize = 2;
/// Generations that have gone and are still shown.
const SHOWN_UNMAPPED: usize = 4;
/// How long a new generation waits for one that is about to go.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is loaded. Locked for moments, never while code of a module runs.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    modules: Mutex<BTreeMap<String, Module>>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Module {
    /// Number of the last generation.
    last: u64,
    family: Arc<Family>,
    generations: Vec<Known>,
    /// Bytes of generations that were in use, the last first.
    former: Vec<Former>,
    /// Shows how many there are, and went.
    accounts: Option<Accounts>,
}

/// Series of one module's name, which outlive its generations.
#[derive(Debug)]
struct Accounts {
    /// By state.
    generations: Vec<(GenerationState, Gauge)>,
    unmapped: Option<Counter>,
    kept: Option<Counter>,
}

impl Accounts {
    fn new(metrics: &Metrics, name: &str) -> Self {
        // "Unmapped" is counted.
        let states = GenerationState::ALL.into_iter().filter(|state| *state != GenerationState::Unmapped);
        let gauge = |state: GenerationState| {
            let labels = [("module", name), ("state", state.name())];
            Some((state, metrics.gauge("sidegate_module_generations", &labels).ok()?))
        };
        let counter = |series: &str| metrics.counter(series, &[("module", name)]).ok();
        Accounts {
            generations: states.filter_map(gauge).collect(),
            unmapped: counter("sidegate_module_generations_unmapped_total"),
            kept: counter("sidegate_module_generations_kept_total"),
        }
    }

    fn count_end(&self, stage: Stage) {
        let counter = match stage {
            Stage::Unmapped => &self.unmapped,
            Stage::Kept => &self.kept,
            Stage::Live | Stage::Unloading => return,
        };
        if let Some(counter) = counter {
            counter.inc();
        }
    }
}

#[derive(Debug)]
struct Known {
    generation: Arc<Generation>,
    module: Weak<LoadedModule>,
    is_loaded: bool,
    sealed: Weak<SealedModule>,
}

#[derive(Debug)]
struct Former {
    used: u64,
    sealed: Arc<SealedModule>,
}

impl Registry {
    /// The loaded copy of these bytes under this name.
    pub(crate) fn find(&self, name: &str, sha256: &[u8; 32]) -> Option<Arc<LoadedModule>> {
        let modules = self.lock();
        let mut known = modules.get(name)?.generations.iter().rev();
        known.find_map(|known| known.module.upgrade().filter(|module| module.generation.sha256 == *sha256))
    }

    /// The bytes of a generation that was, or still is, loaded.
    pub(crate) fn bytes_of(&self, name: &str, sha256: &[u8; 32]) -> Result<Arc<SealedModule>, Reason> {
        let modules = self.lock();
        let module = modules.get(name);
        let generations = module.into_iter().flat_map(|module| &module.generations);
        let loaded = generations.filter_map(|known| known.sealed.upgrade());
        let former = module.into_iter().flat_map(|module| &module.former).map(|former| former.sealed.clone());
        let all: Vec<_> = loaded.chain(former).collect();
        all.iter().find(|sealed| sealed.sha256 == *sha256).cloned().ok_or_else(|| {
            let mut known: Vec<_> = all.iter().map(|sealed| text::hex(&sealed.sha256)).collect();
            known.sort_unstable();
            known.dedup();
            Reason::NoFormerGeneration { module: name.to_owned(), found: text::hex(sha256), known }
        })
    }

    /// A number for one more generation, if there may be one. Waits a moment
    /// for those that are about to go.
    pub(crate) fn begin(
        &self,
        name: &str,
        sealed: &Arc<SealedModule>,
        metrics: &Metrics,
    ) -> Result<Arc<Generation>, Reason> {
        let until = Instant::now() + PATIENCE;
        let mut modules = self.lock();
        loop {
            let module = modules.entry(name.to_owned()).or_default();
            let mapped: Vec<_> = module.mapped().collect();
            if mapped.len() < MAX_GENERATIONS {
                module.last += 1;
                let generation = Generation::new(name, module.last, sealed, module.family.clone());
                let (module_of, sealed) = (Weak::new(), Arc::downgrade(sealed));
                module.generations.push(Known {
                    generation: generation.clone(),
                    module: module_of,
                    is_loaded: false,
                    sealed,
                });
                module.accounts.get_or_insert_with(|| Accounts::new(metrics, name));
                module.show();
                return Ok(generation);
            }
            let one_goes = mapped.iter().any(|generation| generation.is_going());
            let left = until.saturating_duration_since(Instant::now());
            if !one_goes || left.is_zero() {
                let held: Vec<_> = mapped.iter().map(|generation| generation.held_by()).collect();
                let (module, limit) = (name.to_owned(), MAX_GENERATIONS);
                return Err(Reason::TooManyGenerations { module, limit, held: held.join(", ") });
            }
            modules = self.changed.wait_timeout(modules, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The generation is loaded.
    pub(crate) fn loaded(&self, module: &Arc<LoadedModule>) {
        let mut modules = self.lock();
        let known = modules.get_mut(&module.generation.name).into_iter().flat_map(|module| &mut module.generations);
        for known in known.filter(|known| Arc::ptr_eq(&known.generation, &module.generation)) {
            known.module = Arc::downgrade(module);
            known.is_loaded = true;
        }
    }

    /// Forgets the generation unless it was loaded. Its number is not used
    /// again.
    pub(crate) fn forget_unloaded(&self, generation: &Arc<Generation>) {
        let mut modules = self.lock();
        let Some(module) = modules.get_mut(&generation.name) else { return };
        // One that was loaded and then refused goes its own way.
        let is_unloaded = |known: &Known| {
            Arc::ptr_eq(&known.generation, generation) && !known.is_loaded && known.generation.stage() == Stage::Live
        };
        module.generations.retain(|known| !is_unloaded(known));
        module.show();
    }

    /// The generation has changed its stage. Bytes of one that was in use are
    /// kept for a way back, while the module is in use at all.
    pub(crate) fn changed(&self, generation: &Generation, sealed: Option<&Arc<SealedModule>>) {
        let mut modules = self.lock();
        let Some(module) = modules.get_mut(&generation.name) else { return };
        if let Some(sealed) = sealed.filter(|_| generation.last_use() > 0) {
            module.former.push(Former { used: generation.last_use(), sealed: sealed.clone() });
        }
        if let Some(accounts) = &module.accounts {
            accounts.count_end(generation.stage());
        }
        module.tidy();
        module.show();
        drop(modules);
        self.changed.notify_all();
    }

    /// Modules of other names are not current in any generation.
    pub(crate) fn retire_all_but(&self, names: &BTreeSet<&str>) {
        for (_, module) in self.lock().iter().filter(|(name, _)| !names.contains(name.as_str())) {
            module.family.retire();
            module.show();
        }
    }

    /// Shows the counts of this name's generations.
    pub(crate) fn show(&self, name: &str) {
        if let Some(module) = self.lock().get(name) {
            module.show();
        }
    }

    /// One entry per module of which anything is in use.
    pub(crate) fn status(&self) -> Vec<ModuleStatus> {
        let modules: Vec<Vec<Arc<Generation>>> = {
            let modules = self.lock();
            let generations = |module: &Module| module.generations.iter().map(|k| k.generation.clone()).collect();
            modules.values().map(generations).collect()
        };
        modules.iter().filter_map(|generations| status_of(generations)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Module>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Module {
    fn mapped(&self) -> impl Iterator<Item = &Arc<Generation>> {
        self.generations.iter().map(|known| &known.generation).filter(|generation| generation.stage().is_mapped())
    }

    /// Forgets generations that are gone, but the last few, and bytes that
    /// nobody can go back to.
    fn tidy(&mut self) {
        let is_live = |known: &Known| known.generation.stage() == Stage::Live;
        let unmapped = self.generations.iter().filter(|known| !known.generation.stage().is_mapped()).count();
        let mut forget = unmapped.saturating_sub(SHOWN_UNMAPPED);
        self.generations.retain(|known| {
            let gone = !known.generation.stage().is_mapped() && forget > 0;
            forget -= usize::from(gone);
            !gone
        });
        if !self.generations.iter().any(is_live) {
            self.former.clear();
            return;
        }
        self.former.sort_by_key(|former| std::cmp::Reverse(former.used));
        let current = self.generations.iter().filter(|known| is_live(known)).max_by_key(|k| k.generation.last_use());
        let mut seen: Vec<[u8; 32]> = current.map(|known| known.generation.sha256).into_iter().collect();
        self.former.retain(|former| {
            let new = !seen.contains(&former.sealed.sha256) && seen.len() <= FORMER;
            if new {
                seen.push(former.sealed.sha256);
            }
            new
        });
    }

    fn show(&self) {
        for (state, gauge) in self.accounts.iter().flat_map(|accounts| &accounts.generations) {
            gauge.set(self.generations.iter().filter(|known| known.generation.state() == *state).count() as i64);
        }
    }
}

/// What is shown of a module; nothing if all of it is gone.
fn status_of(generations: &[Arc<Generation>]) -> Option<ModuleStatus> {
    let mapped = generations.iter().filter(|generation| generation.stage().is_mapped());
    // The one that new streams take, or will.
    let speaks = mapped
        .max_by_key(|generation| (generation.stage() == Stage::Live, generation.last_use(), generation.number))?;
    Some(speaks.module_status(generations.iter().map(|generation| generation.status()).collect()))
}
