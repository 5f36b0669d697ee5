//! The process before it serves: signals and the watchdog come first, as
//! modules are loaded next, and they may hang.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use sidegate_config::LoadMode;
use sidegate_generic_filter::GenericFilter;
use sidegate_plugin::PluginHost;
use sidegate_tls::KeyLog;
use sidegate_watch::{HELD_UP, OnThread, Role, Watchdog, Watched, end_now, end_within};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::compose::{ComposeError, Loaded, load};
use crate::ending::{Ending, LAST_PATIENCE, in_modules, modules_settled, name_who_is_left};
use crate::hangs::{Hangs, whereabouts};
use crate::output::complain;
use crate::signals::Signals;

/// Exit code of a start that did not come to its end.
const NOT_STARTED: i32 = 1;

/// The number of `ExitCode::FAILURE`.
const FAILED: i32 = 1;

/// What there is from the first moment on.
pub(crate) struct Start {
    /// The main thread's.
    pub(crate) runtime: Runtime,
    pub(crate) signals: Signals,
    pub(crate) watchdog: Watchdog,
    pub(crate) hangs: Hangs,
    /// Kept here so that nobody waits for its threads without a bound.
    modules: Arc<OnceLock<Arc<GenericFilter>>>,
    _main: OnThread,
}

/// Does what may run code of modules: watched from the first moment to the
/// last.
pub(crate) fn with_modules(work: impl FnOnce(&mut Start) -> ExitCode) -> ExitCode {
    sidegate_watch::report_ends();
    match Start::begin() {
        Ok(mut start) => {
            let code = work(&mut start);
            end_within(LAST_PATIENCE, || complain(&"held up by a destructor at the very end"));
            // Waits for the module-control thread.
            drop(start);
            if code == ExitCode::FAILURE {
                // A destructor of a library could still call `exit(0)`, and what
                // was refused would look as if it were accepted.
                let _ = std::io::stdout().flush();
                end_now(FAILED);
            }
            code
        }
        Err(error) => {
            complain(&format_args!("cannot start: {error}"));
            end_within(LAST_PATIENCE, || ());
            ExitCode::FAILURE
        }
    }
}

impl Start {
    fn begin() -> std::io::Result<Self> {
        let main = Watched::new("main", Role::Jobs).on_this_thread();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _entered = runtime.enter();
            Signals::listen()?
        };
        let hangs = Hangs::default();
        let of_watchdog = hangs.clone();
        let watchdog = Watchdog::start(move |notice| of_watchdog.tell(notice))?;
        Ok(Start { runtime, signals, watchdog, hangs, modules: Arc::default(), _main: main })
    }

    /// Reads a configuration and loads its modules, on a thread of its own: a
    /// module that hangs must not keep signals waiting. A signal ends the
    /// process here.
    pub(crate) fn load(
        &mut self,
        path: &Path,
        workers: Option<std::num::NonZeroUsize>,
        mode: LoadMode,
        key_log: Option<Arc<dyn KeyLog>>,
        plugins: Option<PluginHost>,
    ) -> Result<Loaded, ComposeError> {
        let modules = self.modules.clone();
        let (done, loaded) = oneshot::channel();
        let path = Arc::<Path>::from(path);
        let loader = thread::Builder::new().name("loader".into());
        let spawned = loader.spawn(move || {
            let _ = done.send(load(&path, workers, mode, key_log, &modules, plugins));
        });
        spawned.map_err(ComposeError::Loader)?;
        let signals = &mut self.signals;
        let loaded = self.runtime.block_on(async {
            tokio::select! {
                biased;
                loaded = loaded => Some(loaded),
                () = signals.end() => None,
            }
        });
        match loaded {
            Some(Ok(loaded)) => loaded,
            // The thread has told of its panic.
            Some(Err(_)) => Err(ComposeError::Loader(std::io::ErrorKind::Other.into())),
            None => end_before_serving(),
        }
    }

    /// Lets modules destroy what nothing uses any more. Who needs longer than
    /// `patience`, or than the next signal, is named, and the process ends.
    pub(crate) fn settle(&mut self, patience: Duration) {
        let Some(modules) = self.modules.get().cloned() else { return };
        let mut ending = Ending::begin(patience);
        let settled = ending.within(&mut self.signals, |_| (), modules_settled(modules));
        if self.runtime.block_on(settled).is_none() {
            name_who_is_left(&in_modules());
            end_now(HELD_UP);
        }
    }
}

/// Told to end while nothing is served yet.
pub(crate) fn end_before_serving() -> ! {
    for thread in sidegate_watch::threads().iter().filter(|thread| thread.at.is_some()) {
        complain(&whereabouts(thread));
    }
    complain(&"ended by a signal before anything was served");
    end_now(NOT_STARTED)
}
