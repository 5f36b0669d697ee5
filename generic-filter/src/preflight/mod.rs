//! Everything that is checked of a module before any code of it runs.

mod folders;
mod host_symbols;
mod manifest;
mod process_calls;
mod record;
mod sealed;
mod signed;
mod unloading;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use sidegate_abi::{SYMBOL_CREATE, SYMBOL_LAYOUT, SYMBOL_MANIFEST, SYMBOL_RECORD, SYMBOL_THREAD_DETACH};

pub use record::RecordFacts;
pub use signed::Signer;
pub(crate) use signed::signature_file;

use crate::elf::{self, Binding, Elf, Kind, Relocations, Symbol, SymbolTable};
use crate::manifest::Manifest;
use crate::policy::{Policy, Rule};
use crate::refusal::{Reason, Refusal};
use crate::text;
use process_calls::process_calls;
use sealed::SealedCopy;

/// Bytes that are shown of a version's name.
const MAX_VERSION: usize = 256;

/// A module that passed every check; its bytes cannot change any more.
#[derive(Debug)]
pub struct SealedModule {
    /// The file it was read from.
    pub file: PathBuf,
    /// Digest of the bytes.
    pub sha256: [u8; 32],
    /// What was found out about it.
    pub facts: Facts,
    /// The sealed copy, to be loaded.
    pub(crate) descriptor: OwnedFd,
    /// The loader has mapped it: it finds libraries by name, so that another
    /// generation needs a copy of its own.
    pub(crate) mapped: AtomicBool,
}

impl SealedModule {
    /// Whether it may still be loaded: it was read under another policy.
    pub(crate) fn admit(&self, policy: &Policy) -> Result<(), Reason> {
        signed::admit(&self.file, &self.sha256, self.facts.signer.as_ref(), policy)
    }

    /// The same in a sealed copy of its own.
    pub(crate) fn copy(&self) -> Result<Self, Reason> {
        Ok(SealedModule {
            file: self.file.clone(),
            sha256: self.sha256,
            facts: self.facts.clone(),
            descriptor: sealed::copy_of(self.descriptor.as_fd(), &self.file)?,
            mapped: AtomicBool::new(false),
        })
    }
}

/// What a file says of itself, as far as it could be read.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Bytes of the file.
    pub size: u64,
    /// Digest of the bytes.
    pub sha256: Option<[u8; 32]>,
    /// Who has signed it, where that was checked.
    pub signer: Option<Signer>,
    /// Its record.
    pub record: Option<RecordFacts>,
    /// What it says of its filters, if it says so.
    pub manifest: Option<Manifest>,
    /// `DT_NEEDED` and its relatives.
    pub needed: Vec<String>,
    /// `DT_RPATH` and `DT_RUNPATH`.
    pub run_paths: Vec<String>,
    /// Versions it wants of its libraries, `GLIBC_2.34`.
    pub versions: Vec<String>,
    /// Which of the optional symbols it exports.
    pub optional_symbols: Vec<&'static str>,
    /// Why it could not be unloaded; empty if it could.
    pub not_reloadable: Vec<String>,
    /// Functions it imports that make, replace or end processes.
    pub process_calls: Vec<String>,
    /// It brings the Go runtime, of which a process holds one for ever.
    pub go_runtime: bool,
    /// Where in the file `DF_1_NODELETE` is to be cleared, and the bits that
    /// remain.
    pub(crate) no_delete_flag: Option<(u64, u64)>,
}

/// Checks files.
#[derive(Debug)]
pub struct Preflight;

impl Preflight {
    /// Reads `path` once and checks it; everything wrong is reported.
    pub fn open(path: &Path, pinned: Option<[u8; 32]>, policy: &Policy) -> Result<SealedModule, Vec<Refusal>> {
        let mut facts = Facts::default();
        match run(path, pinned, policy, &mut facts) {
            Ok(copy) => {
                let sha256 = copy.sha256;
                let mapped = AtomicBool::new(false);
                match copy.into_descriptor(facts.no_delete_flag, path) {
                    Ok(descriptor) => Ok(SealedModule { file: path.to_owned(), sha256, facts, descriptor, mapped }),
                    Err(reason) => Err(vec![Refusal::new(path, reason)]),
                }
            }
            Err(reasons) => Err(reasons.into_iter().map(|reason| Refusal::new(path, reason)).collect()),
        }
    }
}

impl Preflight {
    /// Whether modules may come from `directory`: who may write to it says what
    /// is known there by which name.
    pub fn check_directory(directory: &Path, policy: &Policy) -> Result<(), Refusal> {
        match policy.writable_directory {
            Rule::Permit => Ok(()),
            Rule::Refuse => folders::somebody_elses(directory)
                .or_else(|| folders::writable_by_all(&directory.join("module.so")))
                .map_or(Ok(()), |reason| Err(Refusal::new(directory, reason))),
        }
    }
}

/// Checks `path` and fills `facts` as far as it gets.
pub(crate) fn run(
    path: &Path,
    pinned: Option<[u8; 32]>,
    policy: &Policy,
    facts: &mut Facts,
) -> Result<SealedCopy, Vec<Reason>> {
    let copy = SealedCopy::read(path, policy).map_err(|reason| vec![reason])?;
    facts.size = copy.bytes().len() as u64;
    facts.sha256 = Some(copy.sha256);
    if let Some(pinned) = pinned.filter(|pinned| *pinned != copy.sha256) {
        // Bytes that are not the expected ones are not worth describing.
        let reason = Reason::HashMismatch { expected: text::hex(&pinned), found: text::hex(&copy.sha256) };
        return Err(vec![reason]);
    }
    // Nor are those of somebody else.
    let signer = signed::check(path, copy.bytes(), &policy.signatures);
    facts.signer = signer.map_err(|reason| vec![reason])?;
    signed::admit(path, &copy.sha256, facts.signer.as_ref(), policy).map_err(|reason| vec![reason])?;
    let mut problems = Vec::new();
    // Who writes to a folder can put another file in its place, but not one
    // with the pinned digest.
    if pinned.is_none() && policy.writable_directory == Rule::Refuse {
        problems.extend(folders::writable_by_all(path));
    }
    if let Err(reason) = check_bytes(copy.bytes(), policy, facts, &mut problems) {
        problems.push(reason);
    }
    if problems.is_empty() { Ok(copy) } else { Err(problems) }
}

/// Checks the bytes of a file. Problems that leave the rest readable are
/// collected in `problems`; one that does not is the error.
pub(crate) fn check_bytes(
    bytes: &[u8],
    policy: &Policy,
    facts: &mut Facts,
    problems: &mut Vec<Reason>,
) -> Result<(), Reason> {
    let elf = Elf::parse(bytes)?;
    for &name in &elf.dynamic.needed {
        facts.needed.push(elf.string(name)?);
    }
    for &path in &elf.dynamic.run_paths {
        facts.run_paths.push(elf.string(path)?);
    }
    let relocations = Relocations::of(&elf)?;
    let table = SymbolTable::read(&elf, &relocations)?;
    let symbols = &table.symbols;
    let read = [SYMBOL_RECORD, SYMBOL_MANIFEST];
    let read = symbols.iter().filter(|s| s.defined && read.iter().any(|name| s.name == name.as_bytes()));
    let read = read.map(|s| s.address..s.address.saturating_add(s.size));
    relocations.keep_away(&elf, table.ranges().iter().cloned().chain(read).collect())?;
    let wanted = elf::requirements(&elf)?;
    facts.versions = wanted.iter().map(|r| text::printable(r.version, MAX_VERSION)).collect();
    facts.versions.sort_unstable();
    facts.versions.dedup();
    facts.go_runtime = unloading::has_go_runtime(&elf, symbols);
    facts.not_reloadable = unloading::prevented_by(&elf, symbols, facts.go_runtime);
    facts.no_delete_flag = if facts.go_runtime { None } else { elf.no_delete_flag() };
    facts.process_calls = process_calls(symbols);

    if is_go_plugin(symbols) {
        return Err(Reason::GoPlugin);
    }
    check_exports(&elf, symbols, policy, facts, problems);
    problems.extend(elf.hazards().into_iter().filter(|hazard| !policy.permits(hazard)));
    let foreign: Vec<String> = facts.needed.iter().filter(|n| !host_symbols::is_system(n)).cloned().collect();
    let judged = foreign.is_empty();
    let refused: Vec<String> = foreign.into_iter().filter(|name| !policy.needed.contains(name)).collect();
    if !refused.is_empty() && policy.foreign_libraries == Rule::Refuse {
        problems.push(Reason::ForeignNeeded { names: refused });
    }
    if !facts.run_paths.is_empty() && policy.run_path == Rule::Refuse {
        problems.push(Reason::RunPath { paths: facts.run_paths.clone() });
    }
    match host_symbols::check_versions(&wanted) {
        Err(reason) => problems.push(reason),
        // What a foreign library defines cannot be known without opening it,
        // and a file refused already is not worth opening libraries for.
        Ok(()) if judged && problems.is_empty() => {
            problems.extend(host_symbols::check_undefined(symbols, &facts.needed));
        }
        Ok(()) => {}
    }
    Ok(())
}

fn check_exports(
    elf: &Elf<'_>,
    symbols: &[Symbol<'_>],
    policy: &Policy,
    facts: &mut Facts,
    problems: &mut Vec<Reason>,
) {
    match export(elf, symbols, SYMBOL_RECORD, Kind::Data) {
        Ok(symbol) => match record::read(elf, symbol, policy, problems) {
            Ok(record) => facts.record = Some(record),
            Err(reason) => problems.push(reason),
        },
        Err(reason) => problems.push(reason),
    }
    if let Err(reason) = export(elf, symbols, SYMBOL_CREATE, Kind::Function) {
        problems.push(reason);
    }
    if symbols.iter().any(|s| s.name == SYMBOL_MANIFEST.as_bytes()) {
        let symbol = export(elf, symbols, SYMBOL_MANIFEST, Kind::Data);
        match symbol.and_then(|symbol| manifest::read(elf, symbol)) {
            Ok(manifest) => facts.manifest = Some(manifest),
            Err(reason) => problems.push(reason),
        }
    }
    for optional in [SYMBOL_THREAD_DETACH, SYMBOL_LAYOUT] {
        if !symbols.iter().any(|s| s.defined && s.name == optional.as_bytes()) {
            continue;
        }
        match export(elf, symbols, optional, Kind::Function) {
            Ok(_) => facts.optional_symbols.push(optional),
            Err(reason) => problems.push(reason),
        }
    }
}

/// The one symbol of this name, which the host could look up and use as what it
/// is expected to be.
fn export<'s, 'a>(
    elf: &Elf<'_>,
    symbols: &'s [Symbol<'a>],
    name: &'static str,
    kind: Kind,
) -> Result<&'s Symbol<'a>, Reason> {
    let expected = if kind == Kind::Function { "function" } else { "data" };
    let missing = |found| Reason::SymbolMissing { symbol: name, expected, found };
    let mut named = symbols.iter().filter(|s| s.name == name.as_bytes());
    let symbol = named.next().ok_or_else(|| missing("no such symbol"))?;
    if named.next().is_some() {
        return Err(Reason::Ambiguous { what: format!("it has two symbols `{name}`") });
    }
    let problem = match symbol {
        Symbol { defined: false, .. } => "it undefined",
        Symbol { binding: Binding::Local, .. } | Symbol { visible: false, .. } => "it hidden",
        Symbol { kind: found, .. } if *found != kind => "a symbol of another type",
        Symbol { in_section: false, .. } => "a number that is no address of the file",
        Symbol { address, .. } if kind == Kind::Function && !elf.is_code(*address) => "it outside the file's code",
        _ => return Ok(symbol),
    };
    Err(missing(problem))
}

/// Every Go plugin brings tables of the packages it was built from, which the
/// runtime of a Go program compares with its own.
fn is_go_plugin(symbols: &[Symbol<'_>]) -> bool {
    let marks: [&[u8]; 4] = [b"go:link.pkghash", b"go.link.pkghash", b"go:plugin.tabs", b"go.plugin.tabs"];
    symbols.iter().any(|s| s.defined && marks.iter().any(|mark| s.name.starts_with(mark)))
}

#[cfg(test)]
mod tests;
