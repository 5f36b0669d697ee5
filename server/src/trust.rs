//! What a configuration says of trust in modules, as those who load them take it.

use sidegate_config::{ModuleAllowance, ModulePolicy, SignatureRule};
use sidegate_generic_filter::{Policy, Rule, Signatures, Unsigned};

/// The policy of those who check modules.
pub(crate) fn policy(wanted: &ModulePolicy) -> Policy {
    let mut policy = Policy {
        max_bytes: wanted.max_bytes.unwrap_or(ModulePolicy::DEFAULT_MAX_BYTES),
        needed: wanted.needed.clone(),
        signatures: Signatures {
            unsigned: match wanted.signature {
                SignatureRule::Optional => Unsigned::Loaded,
                SignatureRule::Required => Unsigned::Refused,
            },
            trusted: wanted.trusted_keys.clone(),
            revoked: wanted.revoked_keys.clone(),
        },
        revoked_files: wanted.revoked_files.clone(),
        only_from: wanted.only_from.clone(),
        ..Policy::default()
    };
    for allowance in &wanted.allowances {
        let rule = match allowance {
            ModuleAllowance::ExecutableStack => &mut policy.executable_stack,
            ModuleAllowance::ForeignLibraries => &mut policy.foreign_libraries,
            ModuleAllowance::OverlappingSegments => &mut policy.overlapping_segments,
            ModuleAllowance::PanicAbort => &mut policy.panic_abort,
            ModuleAllowance::RunPath => &mut policy.run_path,
            ModuleAllowance::TextRelocations => &mut policy.text_relocations,
            ModuleAllowance::WritableCode => &mut policy.writable_code,
            ModuleAllowance::WritableDirectory => &mut policy.writable_directory,
        };
        *rule = Rule::Permit;
    }
    policy
}

/// Why a process that runs under `running` does not take `wanted`: it can come to
/// trust less, and not more.
pub(crate) fn refusal(running: &ModulePolicy, wanted: &ModulePolicy) -> Option<String> {
    let loosened = running.loosened_by(wanted);
    let list: Vec<String> =
        loosened.iter().map(|loosened| format!("`modules.{}`: {}", loosened.key, loosened.how)).collect();
    (!list.is_empty()).then(|| {
        format!(
            "{}: modules would be trusted that are not so far; that takes a restart of the process",
            list.join("; ")
        )
    })
}
