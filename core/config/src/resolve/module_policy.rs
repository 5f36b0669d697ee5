//! `modules`: which modules are trusted, and what is permitted to them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sidegate_api::look_up;
use sidegate_trust::{KeyError, KeyId, PublicKey};

use super::stream_filter::sha256;
use crate::diagnostic::kind;
use crate::reader::{Cursor, ObjectReader};

/// No key is longer.
const MAX_KEY_BYTES: u64 = 4096;

/// Which modules are trusted, and what is permitted to them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModulePolicy {
    /// What they are refused for unless it is allowed.
    pub allowances: Vec<ModuleAllowance>,
    /// Whose signatures are believed. With none of them, nobody looks for
    /// signatures.
    pub trusted_keys: Vec<PublicKey>,
    /// Whose are not any more, whatever else is said of them.
    pub revoked_keys: Vec<KeyId>,
    /// Digests of files that are refused.
    pub revoked_files: Vec<[u8; 32]>,
    /// Whether a module must have a signature; one that it has is checked in any
    /// case.
    pub signature: SignatureRule,
    /// Libraries that modules may need beyond those of the system.
    pub needed: Vec<String>,
    /// Bytes of a file; `None`: as many as by default.
    pub max_bytes: Option<u64>,
    /// Folders that modules may come from; `None`: from anywhere.
    pub only_from: Option<Vec<PathBuf>>,
}

/// Whether a signature must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum SignatureRule {
    /// A module may come without.
    #[default]
    Optional,
    /// One without is refused.
    Required,
}

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

impl ModulePolicy {
    /// Keys by which `later` would trust more than this.
    pub fn loosened_by(&self, later: &ModulePolicy) -> Vec<&'static str> {
        let checks_signatures = !self.trusted_keys.is_empty();
        let grows = |before: &Option<Vec<PathBuf>>, after: &Option<Vec<PathBuf>>| match (before, after) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(before), Some(after)) => !is_within(after, before),
        };
        let max = |policy: &ModulePolicy| policy.max_bytes.unwrap_or(ModulePolicy::DEFAULT_MAX_BYTES);
        let loosened = [
            (!is_within(&later.allowances, &self.allowances), "allow"),
            (checks_signatures && !is_within(&later.trusted_keys, &self.trusted_keys), "trusted_keys"),
            // Without any key nobody would look at signatures any more.
            (checks_signatures && later.trusted_keys.is_empty(), "trusted_keys"),
            (!is_within(&self.revoked_keys, &later.revoked_keys), "revoked_keys"),
            (!is_within(&self.revoked_files, &later.revoked_files), "revoked_sha256"),
            (later.signature < self.signature, "require_signature"),
            (!is_within(&later.needed, &self.needed), "allow_needed"),
            (max(later) > max(self), "max_size"),
            (grows(&self.only_from, &later.only_from), "only_directories"),
        ];
        let mut keys: Vec<_> = loosened.into_iter().filter_map(|(is, key)| is.then_some(key)).collect();
        keys.dedup();
        keys
    }

    /// Bytes of a file where nothing is said.
    pub const DEFAULT_MAX_BYTES: u64 = 256 << 20;
}

fn is_within<T: PartialEq>(some: &[T], all: &[T]) -> bool {
    some.iter().all(|one| all.contains(one))
}

/// Reads it, of a section that names `directories`. Mistakes are reported; what
/// they stand in allows nothing.
pub(crate) fn policy(object: &mut ObjectReader<'_>, search_dirs: &[PathBuf], directories: &[PathBuf]) -> ModulePolicy {
    let trusted_at = object.get("trusted_keys");
    let trusted_keys: Vec<PublicKey> = each(trusted_at.as_ref(), |at| public_key(at, search_dirs));
    let required_at = object.get("require_signature");
    let required = required_at.as_ref().and_then(|at| at.bool()).unwrap_or(false);
    let says_nobody = trusted_at.as_ref().is_none_or(|at| at.array().is_some_and(|keys| keys.is_empty()));
    if let Some(at) = required_at.filter(|_| required && says_nobody) {
        at.mismatch(kind::BAD_VALUE, "false, or keys in `modules.trusted_keys`: nobody's signature would do");
    }
    let revoked_at = object.get("revoked_keys");
    let revoked_keys = each(revoked_at.as_ref(), |at| key_id(at, search_dirs));
    if let (Some(at), true) = (&revoked_at, !trusted_keys.is_empty())
        && trusted_keys.iter().all(|key| revoked_keys.contains(&key.id()))
    {
        at.inert("all of `modules.trusted_keys` are revoked: no signature will do");
    }
    let only = object.get("only_directories").and_then(|at| at.bool()).unwrap_or(false);
    ModulePolicy {
        allowances: allowances(object),
        trusted_keys,
        revoked_keys,
        revoked_files: each(object.get("revoked_sha256").as_ref(), sha256),
        signature: if required { SignatureRule::Required } else { SignatureRule::Optional },
        needed: each(object.get("allow_needed").as_ref(), |at| Some(at.name()?.to_owned())),
        max_bytes: object.get("max_size").and_then(|at| at.integer()),
        only_from: only.then(|| directories.to_vec()),
    }
}

fn each<'a, T>(list: Option<&Cursor<'a>>, read: impl FnMut(&Cursor<'a>) -> Option<T>) -> Vec<T> {
    list.and_then(|at| at.array()).unwrap_or_default().iter().filter_map(read).collect()
}

/// A key, or the file of one.
fn public_key(at: &Cursor<'_>, search_dirs: &[PathBuf]) -> Option<PublicKey> {
    let text = at.name()?;
    let why = match text.parse() {
        Ok(key) => return Some(key),
        // Whatever begins so and has no name's ending was meant to be a key.
        Err(error) if text.starts_with("RW") && !text.contains('.') => KeyError::to_string(&error),
        Err(_) => {
            let path = look_up(search_dirs, Path::new(text));
            match read_key(&path) {
                Ok(key) => return Some(key),
                Err(why) => format!("expected a public key of minisign, or the file of one: {}: {why}", path.display()),
            }
        }
    };
    at.refuse(&why);
    None
}

fn read_key(path: &Path) -> Result<PublicKey, String> {
    let bytes = sidegate_files::read_regular(path, MAX_KEY_BYTES).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    text.parse().map_err(|error: KeyError| error.to_string())
}

/// The number of a key, the key, or its file.
fn key_id(at: &Cursor<'_>, search_dirs: &[PathBuf]) -> Option<KeyId> {
    match at.name()?.parse() {
        Ok(id) => Some(id),
        Err(_) => public_key(at, search_dirs).map(|key| key.id()),
    }
}

/// What is allowed; mistakes are reported and allow nothing.
fn allowances(object: &mut ObjectReader<'_>) -> Vec<ModuleAllowance> {
    let words = object.get("allow").and_then(|cursor| cursor.array()).unwrap_or_default();
    // In whatever order and however often they stand.
    let allowed: BTreeSet<_> = words.iter().filter_map(|word| word.choice(WORDS)).collect();
    allowed.into_iter().collect()
}
