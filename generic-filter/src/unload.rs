//! The end of a generation: every thread that entered it is detached, then it
//! is unmapped, and what the kernel says of that is what counts.
//!
//! Nothing of this blocks: a worker or a thread of the module's own that does
//! not let go keeps its generation, and nothing else.

use std::ffi::c_void;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use libloading::os::unix::Library;
use sidegate_watch::{Hook, Place, enter};

use crate::control::ModuleControl;
use crate::generation::{Generation, Stage};
use crate::identity::ModuleIdentity;
use crate::interpose::{self, Inside, Slot};
use crate::maps::FileKey;
use crate::preflight::SealedModule;
use crate::registry::Registry;
use crate::resume_table::RESUMES;
use crate::text;
use crate::workers::Workers;

/// What a generation has in the process. One that is dropped and not unmapped
/// stays for as long as the process lives, with the descriptor by whose name
/// the loader knows the code.
pub(crate) struct Mapped {
    /// The loader's handle.
    pub(crate) library: *mut c_void,
    /// The sealed copy, as it is seen among the process's mappings.
    pub(crate) file: FileKey,
    /// `None`: nobody knows what its code leaves on threads.
    pub(crate) slot: Option<Slot>,
    /// Freed with the code, which has the pointer.
    pub(crate) identity: *const ModuleIdentity,
    pub(crate) sealed: Arc<SealedModule>,
}

/// What cannot be given back while the code is mapped. The process's, as the
/// code is.
static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

/// Of one generation that stays.
struct Kept {
    _sealed: Arc<SealedModule>,
    /// Its code may still use it.
    _identity: AtomicPtr<ModuleIdentity>,
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.sealed.mapped.load(Ordering::Acquire) {
            let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push(Kept { _sealed: self.sealed.clone(), _identity: AtomicPtr::new(self.identity.cast_mut()) });
        }
    }
}

// SAFETY: a handle of the loader's and an identity of atomics and handles, each
// given back once, on one thread.
unsafe impl Send for Mapped {}
// SAFETY: only read while it is shared.
unsafe impl Sync for Mapped {}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapped").field("file", &self.file).field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// What is needed to let a generation go.
#[derive(Debug, Clone)]
pub(crate) struct Unloader {
    control: Arc<ModuleControl>,
    registry: Arc<Registry>,
    workers: Workers,
    /// Unless the process only starts or is about to end: then what is mapped
    /// stays.
    unmaps: Arc<AtomicBool>,
}

impl Unloader {
    pub(crate) fn new(
        control: Arc<ModuleControl>,
        registry: Arc<Registry>,
        workers: Workers,
        unmaps: Arc<AtomicBool>,
    ) -> Self {
        Unloader { control, registry, workers, unmaps }
    }

    pub(crate) fn control(&self) -> &Arc<ModuleControl> {
        &self.control
    }

    /// New streams take another generation now. From any thread.
    pub(crate) fn show(&self, generation: &Arc<Generation>) {
        let (registry, generation) = (self.registry.clone(), generation.clone());
        self.control.post(move || registry.show(&generation.name));
    }

    /// Nothing uses the generation any more: has it leave all threads, of
    /// which `workers` have entered it. On module-control.
    pub(crate) fn begin(&self, generation: Arc<Generation>, mapped: Mapped, workers: &[usize]) {
        generation.set_stage(Stage::Unloading);
        self.registry.changed(&generation, None);
        if !self.unmaps.load(Ordering::Acquire) {
            // Its destructors run with those of the process.
            return;
        }
        let Some(slot) = &mapped.slot else {
            let why = "this executable cannot tell which calls are a module's";
            return self.stays(&generation, &mapped, why.to_owned());
        };
        if mapped.sealed.facts.go_runtime {
            let why = mapped.sealed.facts.not_reloadable.join("; ");
            return self.stays(&generation, &mapped, why);
        }
        let index = slot.index();
        let place = Place::of_module(&generation.name, "", &text::hex(&generation.sha256));
        for &worker in workers {
            self.workers.run_on(worker, Box::new(move || leave(index, place)));
        }
        leave(index, place);
        if slot.holders() > 0 {
            generation.set_reason(Some("waits for threads that have entered it".to_owned()));
        }
        // With an errand of its own and not from the last thread, which has
        // other things to do; without a hold of the thread that runs it.
        let queue = self.control.queue();
        let (registry, unmaps) = (self.registry.clone(), self.unmaps.clone());
        let finish = move || finish(&registry, &unmaps, &generation, mapped);
        index.when_idle(move || queue.post(finish));
    }

    fn stays(&self, generation: &Generation, mapped: &Mapped, why: String) {
        stays(&self.registry, generation, mapped, why);
    }
}

fn leave(slot: interpose::SlotIndex, place: &'static Place) {
    let _mark = enter(place, Hook::DetachThread);
    let _inside = Inside::enter(Some(slot));
    interpose::leave(slot);
}

/// No thread holds it: unmaps it. On module-control.
fn finish(registry: &Registry, unmaps: &AtomicBool, generation: &Generation, mut mapped: Mapped) {
    let leaked = RESUMES.free_all_of(&generation.handles);
    if leaked > 0 {
        // Nothing of the module is left that could use them.
        tracing::warn!(target: "module", module = generation.name.as_str(), leaked, "resume handles were never released");
    }
    if !unmaps.load(Ordering::Acquire) {
        return;
    }
    generation.set_reason(None);
    let place = Place::of_module(&generation.name, "", &text::hex(&generation.sha256));
    let closed = {
        let _mark = enter(place, Hook::Unload);
        let _inside = Inside::enter(mapped.slot.as_ref().map(Slot::index));
        // SAFETY: the handle of the loader's, given back once; no thread holds
        // the code, and nothing of the host's refers to it.
        unsafe { Library::from_raw(mapped.library) }.close()
    };
    let why = match (closed, mapped.file.is_mapped()) {
        (_, Ok(false)) => None,
        (Err(error), _) => Some(format!("the dynamic loader does not let it go: {}", text::one_line(&error))),
        (Ok(()), Err(error)) => Some(format!("the process's mappings cannot be read: {error}")),
        (Ok(()), Ok(true)) if cfg!(not(target_env = "gnu")) => Some("this C library never unloads".to_owned()),
        (Ok(()), Ok(true)) => Some(match mapped.sealed.facts.not_reloadable.as_slice() {
            [] => "the dynamic loader keeps it: another library refers to it, or it opened itself".to_owned(),
            known => known.join("; "),
        }),
    };
    if let Some(why) = why {
        return stays(registry, generation, &mapped, why);
    }
    generation.set_slot(None);
    if let Some(slot) = mapped.slot.take() {
        // What its last destructors registered for this thread.
        interpose::forget(slot.index());
        sidegate_watch::note_unloaded(slot.range());
        slot.release();
    }
    // SAFETY: leaked by the load; the code that knew the pointer is gone.
    drop(unsafe { Box::from_raw(mapped.identity.cast_mut()) });
    mapped.sealed.mapped.store(false, Ordering::Release);
    generation.set_stage(Stage::Unmapped);
    registry.changed(generation, Some(&mapped.sealed));
    tracing::info!(
        target: "module",
        module = generation.name.as_str(),
        generation = generation.number,
        sha256 = text::hex(&generation.sha256),
        "unmapped"
    );
}

fn stays(registry: &Registry, generation: &Generation, mapped: &Mapped, why: String) {
    tracing::warn!(
        target: "module",
        module = generation.name.as_str(),
        generation = generation.number,
        "it stays mapped, although nothing uses it: {why}"
    );
    generation.set_reason(Some(why));
    generation.set_stage(Stage::Kept);
    registry.changed(generation, Some(&mapped.sealed));
}
