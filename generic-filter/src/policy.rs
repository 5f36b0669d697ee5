//! What an operator permits modules.

use std::path::PathBuf;

use sidegate_trust::{KeyId, PublicKey};

use crate::refusal::Reason;

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
    /// `PT_GNU_STACK` that is executable or not there: with glibc, loading the
    /// module makes the stacks of the whole process executable.
    pub executable_stack: Rule,
    /// Segments that are writable and executable.
    pub writable_code: Rule,
    /// Segments of which one is mapped over another.
    pub overlapping_segments: Rule,
    /// `DT_TEXTREL`: code that the loader writes to.
    pub text_relocations: Rule,
    /// Modules without a pinned digest in folders that everybody may write to.
    pub writable_directory: Rule,
    /// Libraries that are permitted by name.
    pub needed: Vec<String>,
    /// Whose signatures count, and for what.
    pub signatures: Signatures,
    /// Digests of files that are refused.
    pub revoked_files: Vec<[u8; 32]>,
    /// Folders that modules may come from; `None`: from anywhere.
    pub only_from: Option<Vec<PathBuf>>,
}

/// Whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signatures {
    /// Modules without one.
    pub unsigned: Unsigned,
    /// These keys are believed.
    pub trusted: Vec<PublicKey>,
    /// These are not any more.
    pub revoked: Vec<KeyId>,
}

/// What becomes of modules without a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unsigned {
    /// They are loaded like others.
    #[default]
    Loaded,
    /// They are refused.
    Refused,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            max_bytes: 256 << 20,
            panic_abort: Rule::Refuse,
            foreign_libraries: Rule::Refuse,
            run_path: Rule::Refuse,
            executable_stack: Rule::Refuse,
            writable_code: Rule::Refuse,
            overlapping_segments: Rule::Refuse,
            text_relocations: Rule::Refuse,
            writable_directory: Rule::Refuse,
            needed: Vec::new(),
            signatures: Signatures::default(),
            revoked_files: Vec::new(),
            only_from: None,
        }
    }
}

impl Policy {
    /// Whether a file with this peculiarity may be loaded all the same.
    pub(crate) fn permits(&self, hazard: &Reason) -> bool {
        let rule = match hazard {
            Reason::ExecutableStack { .. } => self.executable_stack,
            Reason::WritableCode { .. } => self.writable_code,
            Reason::OverlappingSegments { .. } => self.overlapping_segments,
            Reason::TextRelocations => self.text_relocations,
            _ => Rule::Refuse,
        };
        rule == Rule::Permit
    }
}
