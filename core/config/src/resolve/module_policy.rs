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

/// A key of `modules` by which more would be trusted than before, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loosened {
    /// The key, without `modules.`.
    pub key: &'static str,
    /// What was expected of it, and what was found.
    pub how: String,
}

impl ModulePolicy {
    /// Keys by which `later` would trust more than this.
    pub fn loosened_by(&self, later: &ModulePolicy) -> Vec<Loosened> {
        let word = |allowance: &ModuleAllowance| {
            WORDS.iter().find(|(_, known)| known == allowance).map_or_else(String::new, |(word, _)| (*word).to_owned())
        };
        let checks_signatures = !self.trusted_keys.is_empty();
        let folders = |policy: &ModulePolicy| policy.only_from.clone().unwrap_or_default();
        let trusted = match checks_signatures {
            // Without any key nobody would look at signatures any more.
            true if later.trusted_keys.is_empty() => Some(format!(
                "expected one of {} still, found none",
                list(&self.trusted_keys, |key| key.id().to_string())
            )),
            true => added(&self.trusted_keys, &later.trusted_keys, |key| key.id().to_string()),
            false => None,
        };
        let (max, later_max) = (self.max_bytes(), later.max_bytes());
        let only_directories = match (&self.only_from, &later.only_from) {
            (None, _) => None,
            (Some(_), None) => Some("expected true, found false".to_owned()),
            (Some(_), Some(_)) => added(&folders(self), &folders(later), |folder| folder.display().to_string()),
        };
        let loosened = [
            ("allow", added(&self.allowances, &later.allowances, word)),
            ("trusted_keys", trusted),
            ("revoked_keys", removed(&self.revoked_keys, &later.revoked_keys, KeyId::to_string)),
            ("revoked_sha256", removed(&self.revoked_files, &later.revoked_files, |digest| hex(digest))),
            ("require_signature", (later.signature < self.signature).then(|| "expected true, found false".to_owned())),
            ("allow_needed", added(&self.needed, &later.needed, String::clone)),
            ("max_size", (later_max > max).then(|| format!("expected at most {max}, found {later_max}"))),
            ("only_directories", only_directories),
        ];
        loosened.into_iter().filter_map(|(key, how)| Some(Loosened { key, how: how? })).collect()
    }

    fn max_bytes(&self) -> u64 {
        self.max_bytes.unwrap_or(Self::DEFAULT_MAX_BYTES)
    }

    /// Bytes of a file where nothing is said.
    pub const DEFAULT_MAX_BYTES: u64 = 256 << 20;
}

/// What `later` has and `before` has not.
fn added<T: PartialEq>(before: &[T], later: &[T], text: impl Fn(&T) -> String) -> Option<String> {
    let new: Vec<&T> = later.iter().filter(|one| !before.contains(one)).collect();
    let expected = if before.is_empty() { "none".to_owned() } else { format!("none but {}", list(before, &text)) };
    (!new.is_empty()).then(|| format!("expected {expected}, found also {}", list(new, text)))
}

/// What `before` has and `later` has not.
fn removed<T: PartialEq>(before: &[T], later: &[T], text: impl Fn(&T) -> String) -> Option<String> {
    let gone: Vec<&T> = before.iter().filter(|one| !later.contains(one)).collect();
    (!gone.is_empty()).then(|| format!("expected {} still, found it gone", list(gone, text)))
}

fn list<T>(some: impl IntoIterator<Item = T>, text: impl Fn(T) -> String) -> String {
    some.into_iter().map(text).collect::<Vec<_>>().join(", ")
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
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
