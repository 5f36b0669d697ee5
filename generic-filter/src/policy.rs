//! What an operator permits modules.

/// Whether something that is refused by default is permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rule {
    /// Refused.
    #[default]
    Refuse,
    /// Permitted.
    Permit,
}

/// What may be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Largest file, in bytes.
    pub max_bytes: u64,
    /// Modules whose panics abort the process.
    pub panic_abort: Rule,
    /// Libraries beyond libc, libm, libgcc and libstdc++: hash and signature
    /// cover one file only.
    pub foreign_libraries: Rule,
    /// `DT_RPATH` and `DT_RUNPATH`.
    pub run_path: Rule,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            max_bytes: 256 << 20,
            panic_abort: Rule::Refuse,
            foreign_libraries: Rule::Refuse,
            run_path: Rule::Refuse,
        }
    }
}
