//! The type layouts that a module carries, beside ours. Sizes and numbers were
//! checked before; this finds a field of another type where the size is right.

use std::path::Path;

use abi_stable::abi_stability::abi_checking::{CheckingGlobals, check_layout_compatibility_with_globals};
use abi_stable::type_layout::TypeLayout;
use libloading::os::unix::Library;
use sidegate_abi::{ABI_MAJOR, ABI_MINOR, ABI_STABLE_VERSION, LAYOUT_DIGEST, LayoutFn, SYMBOL_LAYOUT};

use crate::preflight::RecordFacts;
use crate::refusal::Reason;
use crate::text;

/// Longest report that is kept: the comparison writes a page per field.
const MAX_REPORT_BYTES: usize = 600;

/// Compares the module's layouts with ours, if it has some and both were
/// described by the same `abi_stable` for the same minor. Module code: on the
/// module-control thread only.
pub(crate) fn check(library: &Library, record: &RecordFacts, file: &Path) -> Result<(), Reason> {
    // SAFETY: a function of this type by the ABI.
    let Ok(layout) = (unsafe { library.get::<LayoutFn>(SYMBOL_LAYOUT) }) else {
        return Ok(());
    };
    let module = record.name.as_str();
    if record.abi_stable_version != ABI_STABLE_VERSION || record.abi != format!("{ABI_MAJOR}.{ABI_MINOR}") {
        tracing::info!(
            target: "module",
            module,
            "layouts of {} are not compared: abi_stable {} for ABI {} there, {ABI_STABLE_VERSION} for {ABI_MAJOR}.{ABI_MINOR} here",
            file.display(), record.abi_stable_version, record.abi
        );
        return Ok(());
    }
    // SAFETY: the module's function; it takes nothing.
    let theirs = unsafe { layout() }.cast::<TypeLayout>();
    // SAFETY: NULL, or by the ABI a layout of that version of `abi_stable`,
    // which lives as long as the module is mapped.
    let theirs = unsafe { theirs.as_ref() };
    let compared = theirs.ok_or_else(|| "it returned NULL".to_owned()).and_then(compare);
    match compared {
        Ok(()) => Ok(()),
        Err(problem) if record.layout_digest == text::hex(&LAYOUT_DIGEST) => {
            // What is known to be right must not fail on how it is described.
            tracing::warn!(target: "module", module, "layouts of {} look different: {problem}", file.display());
            Ok(())
        }
        Err(problem) => Err(Reason::LayoutMismatch { problem }),
    }
}

/// What differs, on one line. Nothing of `theirs` is kept: the usual way of
/// `abi_stable` keeps layouts in globals, where they would outlive the module.
fn compare(theirs: &'static TypeLayout) -> Result<(), String> {
    let globals = CheckingGlobals::new();
    check_layout_compatibility_with_globals(sidegate_abi::layout(), theirs, &globals)
        .map_err(|errors| text::printable(&one_line(&errors.to_string()), MAX_REPORT_BYTES))
}

fn one_line(report: &str) -> Vec<u8> {
    report.split_whitespace().collect::<Vec<_>>().join(" ").into_bytes()
}

#[cfg(test)]
mod tests {
    use abi_stable::StableAbi;

    use super::*;

    #[repr(C)]
    #[derive(StableAbi)]
    struct Other {
        record: *const u8,
    }

    #[test]
    fn only_the_same_layouts_are_the_same() {
        assert_eq!(compare(sidegate_abi::layout()), Ok(()));
        let problem = compare(<Other as StableAbi>::LAYOUT).unwrap_err();
        assert!(problem.contains("Tables") && problem.len() <= MAX_REPORT_BYTES + 4, "{problem}");
        assert!(!problem.contains('\n'), "{problem}");
    }
}
