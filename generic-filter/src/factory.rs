//! A module's factory, adapted to the proxy's.

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use std::time::{Duration, Instant};

use sidegate_abi::{FactoryTable, FilterTable, OK};
use sidegate_api::{
    Counter, FilterConfigError, FilterFault, HookStatus, InheritError, Inherited, Interests, ModuleStatus,
    PluginCaller, QuarantineStatus, RouteFilterConfig, StreamFilter, StreamFilterFactory, Tenure, WorkerIndex,
};
use sidegate_watch::{Hook, Place, enter};

use crate::control::ModuleControl;
use crate::filter::ModuleFilter;
use crate::handover;
use crate::loaded::LoadedModule;
use crate::oversight::Oversight;
use crate::quarantine::{Admission, Consequence, QuarantineState, Trial, TrialId};
use crate::route_config;
use crate::timing::{HookTimes, Sampler};

/// An object of the module's; only passed back to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Foreign(*mut c_void);

impl Foreign {
    pub(crate) fn new(object: *mut c_void) -> Self {
        Foreign(object)
    }

    /// To be passed to the module. A method, so that closures capture the
    /// whole and not the bare pointer.
    pub(crate) fn get(self) -> *mut c_void {
        self.0
    }
}

// SAFETY: the host never follows it, and the ABI says on which threads the
// module gets it back.
unsafe impl Send for Foreign {}
// SAFETY: as above.
unsafe impl Sync for Foreign {}

/// A module's factory, until the last filter, route object and worker state
/// made of it are gone; then it is destroyed on the module-control thread.
pub(crate) struct FactoryCore {
    pub(crate) module: Arc<LoadedModule>,
    pub(crate) control: Arc<ModuleControl>,
    pub(crate) object: Foreign,
    pub(crate) table: FactoryTable,
    pub(crate) filters: FilterTable,
    pub(crate) interests: Interests,
    pub(crate) times: HookTimes,
    /// Plugins that its filters may call, by the names they have there.
    pub(crate) plugins: Plugins,
    filter_name: String,
    quarantine: Option<QuarantineState>,
    generation_timeout: Option<Duration>,
    /// Where it was counted that it took state over, or failed to.
    pub(crate) handover: OnceLock<Counter>,
    live: Box<[LiveCount]>,
}

/// Filters of one worker that live now. Only that worker writes, so that no
/// stream touches a cache line of another worker's.
#[derive(Debug, Default)]
#[repr(align(128))]
struct LiveCount(AtomicU64);

impl LiveCount {
    fn change(&self, by: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
    }
}

/// Callers of plugins, by name.
pub(crate) type Plugins = BTreeMap<String, Arc<dyn PluginCaller>>;

/// What [`FactoryCore`] is made of.
pub(crate) struct FactoryParts {
    pub(crate) object: Foreign,
    pub(crate) table: FactoryTable,
    pub(crate) filters: FilterTable,
    pub(crate) interests: Interests,
}

impl FactoryCore {
    pub(crate) fn new(
        module: Arc<LoadedModule>,
        parts: FactoryParts,
        filter_name: String,
        oversight: Oversight,
        plugins: Plugins,
        workers: usize,
    ) -> Arc<Self> {
        let FactoryParts { object, table, filters, interests } = parts;
        let control = module.control().clone();
        let times = oversight.times(&filters, &interests);
        let Oversight { quarantine, generation_timeout, .. } = oversight;
        let live = (0..workers).map(|_| LiveCount::default()).collect();
        let core = Arc::new(FactoryCore {
            module,
            control,
            object,
            table,
            filters,
            interests,
            times,
            plugins,
            filter_name,
            quarantine,
            generation_timeout,
            handover: OnceLock::new(),
            live,
        });
        core.module.generation.add_factory(Arc::downgrade(&core));
        core
    }

    pub(crate) fn filter_name(&self) -> &str {
        &self.filter_name
    }

    /// Whether `other` is a factory of the same filter of the same module, of
    /// whichever generation.
    pub(crate) fn is_same_filter(&self, other: &FactoryCore) -> bool {
        (&self.module.identity.name, &self.filter_name) == (&other.module.identity.name, &other.filter_name)
    }

    /// Where a thread is that calls into the factory.
    pub(crate) fn place(&self) -> &'static Place {
        self.module.place(&self.filter_name)
    }

    /// Filters that live now.
    pub(crate) fn streams(&self) -> u64 {
        self.live.iter().map(|count| count.0.load(Ordering::Relaxed)).sum()
    }

    /// The same by worker, where there are any.
    pub(crate) fn streams_by_worker(&self) -> impl Iterator<Item = (usize, u64)> {
        let counts = self.live.iter().map(|count| count.0.load(Ordering::Relaxed));
        counts.enumerate().filter(|(_, count)| *count > 0)
    }

    /// Counts a fault and says what it was for the log.
    pub(crate) fn fault(&self, fault: FilterFault) -> FilterFault {
        self.module.identity.count_fault();
        self.module.generation.faults.fetch_add(1, Ordering::Relaxed);
        let Some(quarantine) = &self.quarantine else { return fault };
        let why = match quarantine.count(fault.kind) {
            Consequence::None => return fault,
            Consequence::Out => "too many faults, the last was",
            Consequence::OutAgain => "it was tried again and failed",
        };
        let (module, filter) = (self.module.identity.name.as_str(), &self.filter_name);
        tracing::error!(target: "module", module, "filter `{filter}` is in quarantine: {why}: {fault}");
        fault
    }

    /// The stream that tried the filter has ended.
    pub(crate) fn tried(&self, trial: TrialId) {
        if self.quarantine.as_ref().is_some_and(|quarantine| quarantine.tried(trial)) {
            let (module, filter) = (self.module.identity.name.as_str(), &self.filter_name);
            tracing::info!(target: "module", module, "filter `{filter}` is in service again, on trial");
        }
    }

    /// The times of its filters' hooks.
    pub(crate) fn hooks(&self) -> Vec<HookStatus> {
        self.times.status()
    }

    /// Whether its filters are in service; `None`: they always are.
    pub(crate) fn condition(&self) -> Option<QuarantineStatus> {
        let (phase, left) = self.quarantine.as_ref()?.condition();
        Some(QuarantineStatus { filter: self.filter_name.clone(), phase, left })
    }

    fn failed(&self, message: String) -> FilterFault {
        self.fault(FilterFault::new(message))
    }
}

impl fmt::Debug for FactoryCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FactoryCore").field("module", &self.module).field("filter", &self.filter_name).finish()
    }
}

impl Drop for FactoryCore {
    fn drop(&mut self) {
        let (object, destroy, module) = (self.object, self.table.destroy, self.module.clone());
        let place = self.place();
        self.control.post(move || {
            if let Some(destroy) = destroy {
                let _mark = enter(place, Hook::DestroyFactory);
                let _inside = module.inside();
                // SAFETY: the module's function and object; nothing that was
                // made of the factory is left, and this happens once.
                unsafe { destroy(object.get()) };
            }
            drop(module);
        });
    }
}

/// The factory as one worker uses it. Filters hold this and not the core: its
/// reference count is touched by its own worker only.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct WorkerHandle {
    pub(crate) core: Arc<FactoryCore>,
    worker: usize,
    sampler: Sampler,
    /// The worker's thread is known to be in the module. Only that worker
    /// writes.
    entered: AtomicBool,
    /// Views that use the factory here: the state goes with the last. A new
    /// view attaches before the old one detaches, and listeners may share a
    /// factory. Only its own worker writes.
    attached: AtomicUsize,
    state: AtomicPtr<c_void>,
}

impl WorkerHandle {
    /// What `worker_attach` made.
    pub(crate) fn state(&self) -> *mut c_void {
        self.state.load(Ordering::Relaxed)
    }

    /// Takes note that this worker's thread enters the module.
    fn enter(&self) {
        if !self.entered.load(Ordering::Relaxed) {
            self.core.module.note_worker(self.worker);
            self.entered.store(true, Ordering::Relaxed);
        }
    }

    /// A filter of this worker came to life.
    pub(crate) fn filter_made(&self) {
        self.live().change(1);
    }

    /// One has gone.
    pub(crate) fn filter_gone(&self) {
        self.live().change(u64::MAX);
    }

    fn live(&self) -> &LiveCount {
        // Handles are made for the counts' indexes.
        &self.core.live[self.worker]
    }

    fn number(&self) -> u32 {
        self.worker as u32
    }
}

/// The proxy's view of a module's factory.
#[derive(Debug)]
pub(crate) struct ModuleFactory {
    core: Arc<FactoryCore>,
    workers: Box<[Arc<WorkerHandle>]>,
}

impl ModuleFactory {
    pub(crate) fn new(core: Arc<FactoryCore>) -> Self {
        let handle = |worker| {
            Arc::new(WorkerHandle {
                core: core.clone(),
                worker,
                sampler: Sampler::new(),
                entered: AtomicBool::new(false),
                attached: AtomicUsize::new(0),
                state: AtomicPtr::default(),
            })
        };
        let workers = (0..core.live.len()).map(handle).collect();
        ModuleFactory { core, workers }
    }

    fn worker(&self, worker: WorkerIndex) -> Result<&Arc<WorkerHandle>, FilterFault> {
        self.workers.get(worker.0).ok_or_else(|| FilterFault::new(format!("there is no worker {}", worker.0)))
    }
}

impl StreamFilterFactory for ModuleFactory {
    fn interests(&self) -> Interests {
        self.core.interests
    }

    fn create_filter(&self, worker: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault> {
        let trial = match self.core.quarantine.as_ref().map(QuarantineState::admit) {
            None | Some(Admission::Filter) => None,
            Some(Admission::Trial(trial)) => Some(trial),
            Some(Admission::StandIn(stand_in)) => return Ok(stand_in),
        };
        let handle = self.worker(worker)?;
        if self.core.table.worker_attach.is_some() && handle.attached.load(Ordering::Relaxed) == 0 {
            return Err(self.core.failed(format!("worker {} has no state of the module", worker.0)));
        }
        let Some(create) = self.core.table.create_filter else {
            return Err(self.core.failed("the module has no create_filter".to_owned()));
        };
        handle.enter();
        let mut object = std::ptr::null_mut();
        let inside = self.core.module.inside();
        let weight = handle.sampler.next();
        let begun = self.core.times.begin();
        // SAFETY: the module's function with its own objects, on the worker.
        let result = unsafe { create(self.core.object.get(), handle.number(), handle.state(), &mut object) };
        self.core.times.end(begun, Hook::CreateFilter, weight);
        drop(inside);
        if result != OK {
            return Err(self.core.failed(format!("create_filter answered {result}")));
        }
        let filter = ModuleFilter::new(handle.clone(), object, weight);
        Ok(match trial {
            None => Box::new(filter),
            Some(trial) => Box::new(Trial::new(filter, self.core.clone(), trial)),
        })
    }

    fn create_route_config(&self, value: &serde_json::Value) -> Result<Arc<dyn RouteFilterConfig>, FilterConfigError> {
        route_config::create(&self.core, value)
    }

    fn attach_worker(&self, worker: WorkerIndex) -> Result<(), FilterFault> {
        let handle = self.worker(worker)?;
        handle.enter();
        self.core.module.note_use();
        let Some(attach) = self.core.table.worker_attach else {
            return Ok(());
        };
        let before = handle.attached.load(Ordering::Relaxed);
        if before == 0 {
            let mut state = std::ptr::null_mut();
            let _inside = self.core.module.inside();
            // SAFETY: the module's function and object, on the worker's thread.
            let result = unsafe { attach(self.core.object.get(), handle.number(), &mut state) };
            if result != OK {
                return Err(self.core.failed(format!("worker_attach answered {result}")));
            }
            handle.state.store(state, Ordering::Relaxed);
        }
        handle.attached.store(before + 1, Ordering::Relaxed);
        Ok(())
    }

    fn detach_worker(&self, worker: WorkerIndex) {
        let Ok(handle) = self.worker(worker) else {
            return;
        };
        let before = handle.attached.load(Ordering::Relaxed);
        handle.attached.store(before.saturating_sub(1), Ordering::Relaxed);
        if before != 1 {
            return;
        }
        let state = handle.state.swap(std::ptr::null_mut(), Ordering::Relaxed);
        if let Some(detach) = self.core.table.worker_detach {
            let _inside = self.core.module.inside();
            // SAFETY: as `attach_worker`; the state is given back once.
            unsafe { detach(self.core.object.get(), handle.number(), state) };
        }
    }

    fn inherit(&self, from: &Arc<dyn StreamFilterFactory>) -> Result<Inherited, InheritError> {
        let from: &dyn Any = &**from;
        let from = from.downcast_ref::<ModuleFactory>().ok_or(InheritError::Stranger)?;
        handover::inherit(&from.core, &self.core)
    }

    fn tenure(&self) -> Tenure {
        match self.core.generation_timeout {
            Some(timeout) => self.core.module.generation.tenure(timeout, Instant::now()),
            None => Tenure::ToTheEnd,
        }
    }

    fn reloaded(&self) {
        if let Some(quarantine) = &self.core.quarantine {
            quarantine.clear();
        }
    }

    fn module(&self) -> Option<ModuleStatus> {
        Some(self.core.module.status())
    }
}
