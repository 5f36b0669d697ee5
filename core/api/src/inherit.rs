//! What one factory takes over from the one it follows.

use std::time::Duration;

/// What came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inherited {
    /// There was nothing, or one of the two has no state.
    Nothing,
    /// So many bytes.
    State {
        /// As the former factory wrote them.
        bytes: usize,
    },
}

/// Why nothing came over although there may have been something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InheritError {
    /// State goes from a filter of a module to the same filter of that module.
    #[error("the factory before is not of the same module and filter")]
    Stranger,
    /// The former factory did not say what it knows.
    #[error("it was not exported: {reason}")]
    Export {
        /// Its words.
        reason: String,
    },
    /// It said too much.
    #[error("expected at most {limit} bytes of state, found more")]
    TooLong {
        /// What may be handed over.
        limit: usize,
    },
    /// The next one did not take it.
    #[error("it was not imported: {reason}")]
    Import {
        /// Its words.
        reason: String,
    },
    /// It takes too long; what comes of it later is dropped.
    #[error("{call} has not returned within {} ms", patience.as_millis())]
    Overdue {
        /// The function that is waited for.
        call: &'static str,
        /// So long both have in all.
        patience: Duration,
    },
}

impl InheritError {
    /// One word for tests and tools.
    pub fn kind(&self) -> &'static str {
        match self {
            InheritError::Stranger => "stranger",
            InheritError::Export { .. } => "export_failed",
            InheritError::TooLong { .. } => "state_too_long",
            InheritError::Import { .. } => "import_failed",
            InheritError::Overdue { .. } => "overdue",
        }
    }
}
