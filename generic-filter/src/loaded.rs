//! A module whose code is in the process.

use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use sidegate_abi::{CreateFilterFactory, SYMBOL_CREATE, SYMBOL_THREAD_DETACH, ThreadDetach};
use sidegate_api::{Metrics, ModuleStatus};
use sidegate_watch::{Hook, Place, enter};

use crate::control::ModuleControl;
use crate::generation::Generation;
use crate::identity::ModuleIdentity;
use crate::interpose::{self, Inside, Slot, SlotIndex};
use crate::maps::FileKey;
use crate::preflight::SealedModule;
use crate::refusal::{Reason, Refusal};
use crate::text;
use crate::unload::{Mapped, Unloader};

/// One generation of one module: the same bytes under the same name are loaded
/// once, however many filters use them.
///
/// It lives by the factories, route objects and filters that are made of it.
/// Wherever the last of them is dropped, the code is unmapped on
/// module-control.
#[derive(Debug)]
pub(crate) struct LoadedModule {
    pub(crate) generation: Arc<Generation>,
    pub(crate) identity: &'static ModuleIdentity,
    pub(crate) create: CreateFilterFactory,
    /// Workers that have entered it.
    entered: Box<[AtomicBool]>,
    mapped: Option<Mapped>,
    unloader: Unloader,
}

/// What a generation is loaded with.
pub(crate) struct LoadEnv {
    pub(crate) metrics: Metrics,
    pub(crate) workers: usize,
    pub(crate) unloader: Unloader,
}

impl LoadedModule {
    /// Loads the sealed copy. Runs the module's initializers, so on the
    /// module-control thread only.
    pub(crate) fn load(sealed: Arc<SealedModule>, generation: Arc<Generation>, env: LoadEnv) -> Result<Self, Refusal> {
        let LoadEnv { metrics, workers, unloader } = env;
        let refused = |reason| Refusal::new(&sealed.file, reason);
        // With the process's number instead of `self`, debuggers find it too.
        let path = format!("/proc/{}/fd/{}", std::process::id(), sealed.descriptor.as_raw_fd());
        // People know the file by its path, not by our descriptor.
        let failed =
            |error: String| Reason::LoadFailed { error: error.replace(&path, &sealed.file.display().to_string()) };
        if !std::path::Path::new(&path).exists() {
            // The loader would say that the module's file is missing.
            return Err(refused(Reason::NoProc));
        }
        let file = FileKey::of(&sealed.descriptor).map_err(|error| refused(failed(error.to_string())))?;
        let c_path = CString::new(path.as_str()).map_err(|error| refused(failed(error.to_string())))?;
        let slot = if interpose::is_active() { Slot::take() } else { None };
        if let Some(slot) = &slot {
            interpose::hold(slot.index());
        }
        sealed.mapped.store(true, Ordering::Release);
        let open = || {
            let _mark = enter(Place::of_module(&generation.name, "", &text::hex(&sealed.sha256)), Hook::Load);
            let _inside = Inside::enter(slot.as_ref().map(Slot::index));
            // SAFETY: initializers of a checked module run here, on the thread
            // the ABI promises; from here on its code is trusted as native
            // code is.
            unsafe { Library::open(Some(path.as_str()), RTLD_NOW | RTLD_LOCAL) }
        };
        let library = match &slot {
            Some(slot) => slot.while_loading(&c_path, open),
            None => open(),
        };
        let library = match library {
            Ok(library) => library,
            Err(error) => {
                if let Some(slot) = slot {
                    interpose::leave(slot.index());
                    slot.release();
                }
                sealed.mapped.store(false, Ordering::Release);
                return Err(refused(failed(text::one_line(&error))));
            }
        };
        sidegate_watch::note_loaded(&path, &generation.name);
        generation.set_slot(slot.as_ref().map(Slot::index));
        // SAFETY: a function of this type by the ABI; preflight saw a function.
        let create = unsafe { library.get::<CreateFilterFactory>(SYMBOL_CREATE) };
        let create = create.map(|symbol| *symbol).map_err(|error| failed(text::one_line(&error)));
        // SAFETY: as above, where it is there.
        let detach = unsafe { library.get::<ThreadDetach>(SYMBOL_THREAD_DETACH) };
        if let (Ok(detach), Some(slot)) = (&detach, &slot) {
            slot.set_detach(**detach);
        }
        #[cfg(feature = "abi_stable")]
        let create = {
            let record = sealed.facts.record.clone().unwrap_or_default();
            crate::layout::check(&library, &record, &sealed.file).and(create)
        };
        let identity = ModuleIdentity::leaked(&generation.name, &metrics);
        let mapped = Mapped { library: library.into_raw(), file, slot, identity, sealed: sealed.clone() };
        match create {
            Ok(create) => {
                let entered = (0..workers).map(|_| AtomicBool::new(false)).collect();
                Ok(LoadedModule { generation, identity, create, entered, mapped: Some(mapped), unloader })
            }
            Err(reason) => {
                unloader.begin(generation, mapped, &[]);
                Err(refused(reason))
            }
        }
    }

    /// Its slot, if calls of its code are told apart.
    pub(crate) fn slot(&self) -> Option<SlotIndex> {
        self.mapped.as_ref().and_then(|mapped| mapped.slot.as_ref()).map(Slot::index)
    }

    /// The calling thread is in its code until the answer is dropped.
    pub(crate) fn inside(&self) -> Inside {
        Inside::enter(self.slot())
    }

    /// A worker enters it for the first time, on that worker's thread.
    #[cold]
    pub(crate) fn note_worker(&self, worker: usize) {
        if let (Some(slot), Some(entered)) = (self.slot(), self.entered.get(worker)) {
            entered.store(true, Ordering::Release);
            interpose::hold(slot);
        }
        self.note_use();
    }

    /// A worker takes a factory of it into use.
    pub(crate) fn note_use(&self) {
        if self.generation.note_use() {
            self.unloader.show(&self.generation);
        }
    }

    /// Facts for the admin page.
    pub(crate) fn status(&self) -> ModuleStatus {
        self.generation.module_status(vec![self.generation.status()])
    }

    /// Where a thread is that calls into this module for a filter of it.
    pub(crate) fn place(&self, filter: &str) -> &'static Place {
        Place::of_module(&self.generation.name, filter, &text::hex(&self.generation.sha256))
    }

    pub(crate) fn control(&self) -> &Arc<ModuleControl> {
        self.unloader.control()
    }
}

impl Drop for LoadedModule {
    fn drop(&mut self) {
        if let Some(mapped) = self.mapped.take() {
            let entered = self.entered.iter().enumerate().filter(|(_, entered)| entered.load(Ordering::Acquire));
            let workers: Vec<usize> = entered.map(|(worker, _)| worker).collect();
            let (generation, unloader) = (self.generation.clone(), self.unloader.clone());
            self.unloader.control().post(move || unloader.begin(generation, mapped, &workers));
        }
    }
}
