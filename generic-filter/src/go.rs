//! The one Go runtime of a process.

use std::sync::{Mutex, PoisonError};

use crate::refusal::Reason;

/// Who has brought it. The process's, as the runtime is: it has threads,
/// signal handlers and memory that nobody can take back.
static LOADED: Mutex<Option<String>> = Mutex::new(None);

/// `module`, which has a Go runtime, is about to be loaded: for the first and
/// only time.
pub(crate) fn claim(module: &str) -> Result<(), Reason> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    match &*loaded {
        Some(loaded) => Err(Reason::GoRuntime { loaded: loaded.clone() }),
        None => {
            *loaded = Some(module.to_owned());
            Ok(())
        }
    }
}
