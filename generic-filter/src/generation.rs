//! What is known of one loaded copy of a module, from before it is loaded to
//! after it has gone. It holds nothing of the copy.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use sidegate_api::{GenerationState, GenerationStatus, ModuleStatus, Tenure};

use crate::accounts;
use crate::factory::FactoryCore;
use crate::preflight::SealedModule;
use crate::resume_table::Handles;
use crate::text;

/// How often a tunnel asks whether a filter may still wait.
const MIN_LOOK: Duration = Duration::from_millis(20);
const MAX_LOOK: Duration = Duration::from_secs(10);

/// One generation of one module.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) name: String,
    pub(crate) number: u64,
    /// What is, or was, loaded.
    pub(crate) file: PathBuf,
    pub(crate) sha256: [u8; 32],
    abi: String,
    version: String,
    /// Resume handles that the module holds.
    pub(crate) handles: Handles,
    /// Faults since it was loaded.
    pub(crate) faults: AtomicU64,
    /// Which use of any module its last was; 0: none yet.
    used: AtomicU64,
    /// The generation that new streams of this module's name take.
    family: Arc<Family>,
    born: Instant,
    /// Milliseconds after `born`, and one more, at which another one was first
    /// seen in its place; 0: none was.
    replaced: AtomicU64,
    stage: AtomicU8,
    reason: Mutex<Option<String>>,
    /// Factories that are, or whose filters are, in use.
    factories: Mutex<Vec<Weak<FactoryCore>>>,
    /// Its threads can be asked for while its code is there.
    slot: Mutex<Option<crate::interpose::SlotIndex>>,
}

/// What the generations of one name share.
#[derive(Debug, Default)]
pub(crate) struct Family {
    /// 0: none.
    current: AtomicU64,
}

impl Family {
    /// No new stream takes any of them, until one is taken into use again.
    pub(crate) fn retire(&self) {
        self.current.store(0, Ordering::Relaxed);
    }
}

/// Where in its life a generation is, as far as that does not depend on others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    Live,
    /// Nothing uses it any more.
    Unloading,
    Unmapped,
    /// Not unmapped, for good.
    Kept,
}

impl Stage {
    /// Whether it counts among those that a process may hold.
    pub(crate) fn is_mapped(self) -> bool {
        self != Stage::Unmapped
    }
}

impl Generation {
    pub(crate) fn new(name: &str, number: u64, sealed: &SealedModule, family: Arc<Family>) -> Arc<Self> {
        let record = sealed.facts.record.clone().unwrap_or_default();
        Arc::new(Generation {
            name: name.to_owned(),
            number,
            file: sealed.file.clone(),
            sha256: sealed.sha256,
            abi: record.abi,
            version: record.version,
            handles: Handles::default(),
            faults: AtomicU64::new(0),
            used: AtomicU64::new(0),
            family,
            born: Instant::now(),
            replaced: AtomicU64::new(0),
            stage: AtomicU8::new(Stage::Live as u8),
            reason: Mutex::default(),
            factories: Mutex::default(),
            slot: Mutex::default(),
        })
    }

    /// A worker has taken one of its factories into use. True if new streams
    /// took another generation before. On workers: no lock.
    pub(crate) fn note_use(&self) -> bool {
        static USES: AtomicU64 = AtomicU64::new(1);
        if self.family.current.load(Ordering::Relaxed) == self.number {
            return false;
        }
        self.used.store(USES.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.family.current.store(self.number, Ordering::Relaxed);
        true
    }

    /// When it was taken into use last, of all uses; 0: never.
    pub(crate) fn last_use(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn stage(&self) -> Stage {
        let stage = self.stage.load(Ordering::Acquire);
        [Stage::Live, Stage::Unloading, Stage::Unmapped].into_iter().find(|s| *s as u8 == stage).unwrap_or(Stage::Kept)
    }

    /// Whether it is about to leave: nothing uses it, though module-control may
    /// not have come to its end yet.
    pub(crate) fn is_going(&self) -> bool {
        match self.stage() {
            Stage::Live => lock(&self.factories).iter().all(|factory| factory.strong_count() == 0),
            stage => stage == Stage::Unloading,
        }
    }

    pub(crate) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// Says why it does not go, or not yet.
    pub(crate) fn set_reason(&self, reason: Option<String>) {
        *lock(&self.reason) = reason;
    }

    /// Its code is known under this slot, until that is `None`.
    pub(crate) fn set_slot(&self, slot: Option<crate::interpose::SlotIndex>) {
        *lock(&self.slot) = slot;
    }

    /// Remembers a factory for as long as it is in use.
    pub(crate) fn add_factory(&self, factory: Weak<FactoryCore>) {
        let mut factories = lock(&self.factories);
        factories.retain(|known| known.strong_count() > 0);
        factories.push(factory);
    }

    fn factories(&self) -> Vec<Arc<FactoryCore>> {
        lock(&self.factories).iter().filter_map(Weak::upgrade).collect()
    }

    /// What the admin page shows of it.
    pub(crate) fn status(&self) -> GenerationStatus {
        let factories = self.factories();
        let mut filters: Vec<String> = factories.iter().map(|factory| factory.filter_name().to_owned()).collect();
        filters.sort_unstable();
        filters.dedup();
        let threads = lock(&self.slot).map_or(0, crate::interpose::SlotIndex::threads) as u64;
        GenerationStatus {
            generation: self.number,
            sha256: text::hex(&self.sha256),
            state: self.state(),
            filters,
            streams: factories.iter().map(|factory| factory.streams()).sum(),
            resume_handles: self.handles.count(),
            threads,
            reason: lock(&self.reason).clone(),
        }
    }

    pub(crate) fn state(&self) -> GenerationState {
        match self.stage() {
            Stage::Live if self.family.current.load(Ordering::Relaxed) == self.number => GenerationState::Current,
            Stage::Live if self.last_use() == 0 => GenerationState::Loading,
            Stage::Live => GenerationState::Draining,
            Stage::Unloading => GenerationState::Unloading,
            Stage::Unmapped => GenerationState::Unmapped,
            Stage::Kept => GenerationState::Kept,
        }
    }

    /// How long streams may keep a filter that only waits, if that is so long
    /// once there is a newer generation. On workers: no lock.
    pub(crate) fn tenure(&self, timeout: Duration, now: Instant) -> Tenure {
        // Whoever asks finds out, so it is asked often enough.
        let again = (timeout / 8).clamp(MIN_LOOK, MAX_LOOK);
        if self.family.current.load(Ordering::Relaxed) == self.number {
            self.replaced.store(0, Ordering::Relaxed);
            return Tenure::For(again);
        }
        let age = u64::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX - 1);
        let first = self.replaced.compare_exchange(0, age + 1, Ordering::Relaxed, Ordering::Relaxed);
        // That millisecond had begun before: rounded so that nobody is early.
        let since = age.saturating_sub(first.map_or_else(|known| known, |_| age));
        match timeout.saturating_sub(Duration::from_millis(since)) {
            Duration::ZERO => Tenure::Over,
            left => Tenure::For(left.min(again)),
        }
    }

    /// The module as the admin page shows it, with this generation as the one
    /// that speaks for it.
    pub(crate) fn module_status(&self, generations: Vec<GenerationStatus>) -> ModuleStatus {
        let own = generations.iter().find(|generation| generation.generation == self.number);
        let own = own.cloned().unwrap_or_else(|| self.status());
        let factories = self.factories();
        ModuleStatus {
            name: self.name.clone(),
            file: self.file.display().to_string(),
            sha256: own.sha256,
            abi: self.abi.clone(),
            version: self.version.clone(),
            generation: self.number,
            filters: own.filters,
            streams: generations.iter().map(|generation| generation.streams).sum(),
            faults: self.faults.load(Ordering::Relaxed),
            hooks: accounts::hooks(&factories),
            quarantine: accounts::quarantine(&factories),
            generations,
        }
    }

    /// What holds it, on one line.
    pub(crate) fn held_by(&self) -> String {
        let mut by = Vec::new();
        for factory in self.factories() {
            let streams = factory.streams_by_worker();
            let streams: Vec<_> = streams.map(|(worker, count)| format!("{count} on worker {worker}")).collect();
            if !streams.is_empty() {
                by.push(format!("streams in filter `{}`: {}", factory.filter_name(), streams.join(", ")));
            } else {
                by.push(format!("the configuration, filter `{}`", factory.filter_name()));
            }
        }
        let status = self.status();
        if status.resume_handles > 0 {
            by.push(format!("{} resume handles", status.resume_handles));
        }
        if status.threads > 0 {
            by.push(format!("{} threads of its own", status.threads));
        }
        by.extend(status.reason);
        let by = if by.is_empty() { "nothing any more".to_owned() } else { by.join("; ") };
        format!("generation {} ({}) held by {by}", self.number, status.state.name())
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
