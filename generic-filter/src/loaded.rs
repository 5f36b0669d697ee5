//! A module whose code is in the process.

use std::os::fd::{AsRawFd, IntoRawFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, Weak};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use sidegate_abi::{CreateFilterFactory, SYMBOL_CREATE};
use sidegate_api::{Metrics, ModuleStatus};
use sidegate_watch::{Hook, Place, enter};

use crate::accounts;
use crate::factory::FactoryCore;
use crate::identity::ModuleIdentity;
use crate::preflight::{RecordFacts, SealedModule};
use crate::refusal::{Reason, Refusal};
use crate::text;

/// One generation of one module: the same bytes under the same name are loaded
/// once, however many filters use them.
///
/// It is not unloaded, not even with its last use: a thread that entered it
/// may still hold its thread-local destructors.
#[derive(Debug)]
pub(crate) struct LoadedModule {
    pub(crate) file: PathBuf,
    pub(crate) sha256: [u8; 32],
    pub(crate) generation: u64,
    pub(crate) identity: &'static ModuleIdentity,
    pub(crate) create: CreateFilterFactory,
    record: RecordFacts,
    /// Factories that are, or whose filters are, in use.
    factories: Mutex<Vec<Weak<FactoryCore>>>,
}

impl LoadedModule {
    /// Loads the sealed copy. Runs the module's initializers, so on the
    /// module-control thread only.
    pub(crate) fn load(sealed: SealedModule, name: &str, generation: u64, metrics: &Metrics) -> Result<Self, Refusal> {
        let SealedModule { file, sha256, facts, descriptor } = sealed;
        let failed = |error: String, path: &str| {
            // People know the file by its path, not by our descriptor.
            let error = error.replace(path, &file.display().to_string());
            Refusal::new(&file, Reason::LoadFailed { error })
        };
        // With the process's number instead of `self`, debuggers find it too.
        let path = format!("/proc/{}/fd/{}", std::process::id(), descriptor.as_raw_fd());
        if !std::path::Path::new(&path).exists() {
            // The loader would say that the module's file is missing.
            return Err(Refusal::new(&file, Reason::NoProc));
        }
        let mark = enter(Place::of_module(name, "", &text::hex(&sha256)), Hook::Load);
        // SAFETY: initializers of a checked module run here, on the thread the
        // ABI promises; from here on its code is trusted as native code is.
        let library = unsafe { Library::open(Some(path.as_str()), RTLD_NOW | RTLD_LOCAL) };
        drop(mark);
        let library = library.map_err(|error| failed(text::one_line(&error), &path))?;
        sidegate_watch::note_loaded(&path, name);
        // The loader knows libraries by name: were this descriptor's number
        // used again, it would hand out this module's code for another one.
        let _ = descriptor.into_raw_fd();
        // SAFETY: a function of this type by the ABI; preflight saw a function.
        let create = unsafe { library.get::<CreateFilterFactory>(SYMBOL_CREATE) };
        let create = create.map(|symbol| *symbol).map_err(|error| failed(text::one_line(&error), &path));
        let record = facts.record.unwrap_or_default();
        #[cfg(feature = "abi_stable")]
        let layout = crate::layout::check(&library, &record, &file);
        let _ = library.into_raw();
        #[cfg(feature = "abi_stable")]
        layout.map_err(|reason| Refusal::new(&file, reason))?;
        Ok(LoadedModule {
            create: create?,
            sha256,
            generation,
            identity: ModuleIdentity::immortal(name, metrics),
            record,
            factories: Mutex::default(),
            file,
        })
    }

    /// Where a thread is that calls into this module for a filter of it.
    pub(crate) fn place(&self, filter: &str) -> &'static Place {
        Place::of_module(&self.identity.name, filter, &text::hex(&self.sha256))
    }

    /// Remembers a factory for as long as it is in use.
    pub(crate) fn add_factory(&self, factory: Weak<FactoryCore>) {
        let mut factories = self.factories.lock().unwrap_or_else(PoisonError::into_inner);
        factories.retain(|known| known.strong_count() > 0);
        factories.push(factory);
    }

    /// Facts for the admin page; no filters means that nothing uses it.
    pub(crate) fn status(&self) -> ModuleStatus {
        let factories: Vec<_> = {
            let factories = self.factories.lock().unwrap_or_else(PoisonError::into_inner);
            factories.iter().filter_map(Weak::upgrade).collect()
        };
        let mut filters: Vec<String> = factories.iter().map(|factory| factory.filter_name().to_owned()).collect();
        filters.sort_unstable();
        filters.dedup();
        ModuleStatus {
            name: self.identity.name.clone(),
            file: self.file.display().to_string(),
            sha256: text::hex(&self.sha256),
            abi: self.record.abi.clone(),
            version: self.record.version.clone(),
            generation: self.generation,
            filters,
            streams: factories.iter().map(|factory| factory.streams()).sum(),
            faults: self.identity.faults(),
            hooks: accounts::hooks(&factories),
            quarantine: accounts::quarantine(&factories),
        }
    }
}
