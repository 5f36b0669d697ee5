//! `modules`: what is permitted to modules in general.

use std::collections::BTreeSet;

use crate::reader::ObjectReader;

/// Something that a module is refused for unless it is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModuleAllowance {
    /// A stack that is executable.
    ExecutableStack,
    /// Libraries that no check covers.
    ForeignLibraries,
    /// Segments that share a page.
    OverlappingSegments,
    /// Panics that end the process.
    PanicAbort,
    /// `DT_RPATH` and `DT_RUNPATH`.
    RunPath,
    /// `DT_TEXTREL`.
    TextRelocations,
    /// Memory that is writable and executable.
    WritableCode,
    /// Folders that everybody may write to.
    WritableDirectory,
}

const WORDS: &[(&str, ModuleAllowance)] = &[
    ("executable_stack", ModuleAllowance::ExecutableStack),
    ("foreign_libraries", ModuleAllowance::ForeignLibraries),
    ("overlapping_segments", ModuleAllowance::OverlappingSegments),
    ("panic_abort", ModuleAllowance::PanicAbort),
    ("run_path", ModuleAllowance::RunPath),
    ("text_relocations", ModuleAllowance::TextRelocations),
    ("writable_code", ModuleAllowance::WritableCode),
    ("writable_directory", ModuleAllowance::WritableDirectory),
];

/// What is allowed; mistakes are reported and allow nothing.
pub(crate) fn allowances(object: &mut ObjectReader<'_>) -> Vec<ModuleAllowance> {
    let words = object.get("allow").and_then(|cursor| cursor.array()).unwrap_or_default();
    // In whatever order and however often they stand.
    let allowed: BTreeSet<_> = words.iter().filter_map(|word| word.choice(WORDS)).collect();
    allowed.into_iter().collect()
}
