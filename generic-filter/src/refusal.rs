//! Why a module is not taken. Each reason names what was expected and what was
//! found; the file is named by [`Refusal`].

use std::fmt;
use std::path::{Path, PathBuf};

/// A file that was refused as a module, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", file.display())]
pub struct Refusal {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub reason: Reason,
}

impl Refusal {
    /// `file` was refused because of `reason`.
    pub fn new(file: &Path, reason: Reason) -> Self {
        Refusal { file: file.to_owned(), reason }
    }

    /// One word for tests and tools.
    pub fn kind(&self) -> &'static str {
        self.reason.kind()
    }
}

/// What is wrong with a module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant is its documentation, and its fields are named in it")]
pub enum Reason {
    #[error("expected a module's file, found nothing under this path")]
    NoSuchFile,
    #[error("expected a readable file: {error}")]
    Unreadable { error: String },
    #[error("expected a regular file, found a directory")]
    IsDirectory,
    #[error("expected a regular file, found {found}")]
    NotRegularFile { found: &'static str },
    #[error("expected owner root (0) or this process's user ({process}), found user {owner}")]
    BadOwner { owner: u32, process: u32 },
    #[error("expected a file that only its owner and group can write, found mode {mode:04o} (world-writable)")]
    WorldWritable { mode: u32 },
    #[error(
        "expected a module that is pinned by sha256, or folders that are sticky, mounted read-only or not writable by \
         everybody, found {folder} with mode {mode:04o}"
    )]
    WritableDirectory { folder: String, mode: u32 },
    #[error("expected at most {limit} bytes, found {found}")]
    TooLarge { limit: u64, found: u64 },
    #[error("it could not be copied into memory: {error}")]
    CopyFailed { error: String },
    #[error("expected the pinned sha256 {expected}, found {found}")]
    HashMismatch { expected: String, found: String },

    #[error("expected a file in {}, found it in {found}", List(folders))]
    OutsideDirectories { folders: Vec<String>, found: String },
    #[error("its sha256 {sha256} is revoked")]
    RevokedFile { sha256: String },
    #[error("expected a signature in {file}, found no such file")]
    SignatureMissing { file: String },
    #[error("the signature in {file} does not do: {problem}")]
    SignatureInvalid { file: String, problem: String },
    #[error("expected a signature in {file} by one of the trusted keys {}, found one by {found}", List(trusted))]
    SignerUntrusted { file: String, trusted: Vec<String>, found: String },
    #[error("it is signed by the key {key}, which is revoked")]
    SignerRevoked { key: String },

    #[error("expected an ELF shared library, found {found}")]
    NotElf { found: String },
    #[error("expected a 64-bit little-endian ELF file, found {found}")]
    WrongClass { found: String },
    #[error("expected a library for {expected}, found {found}")]
    WrongMachine { expected: String, found: String },
    #[error("expected a shared library, found {found}")]
    WrongType { found: String },
    #[error("expected at least {needs} bytes for {what}, found {has}: the file is truncated")]
    Truncated { what: &'static str, needs: u64, has: u64 },
    #[error("expected a well-formed ELF file, but {what}")]
    Malformed { what: &'static str },
    #[error("expected a file that can be read in one way only, but {what}")]
    Ambiguous { what: String },
    #[error("expected a stack that is not executable, found {found}")]
    ExecutableStack { found: &'static str },
    #[error("expected no memory that is both writable and executable, found a segment at {address:#x} that is")]
    WritableCode { address: u64 },
    #[error("expected segments on pages of their own, found those at {first:#x} and {second:#x} on one page")]
    OverlappingSegments { first: u64, second: u64 },
    #[error("expected code that the loader need not change, found text relocations (DT_TEXTREL; build with -fPIC)")]
    TextRelocations,
    #[error(
        "expected a module that speaks the module ABI, found a Go plugin (-buildmode=plugin), which only a Go program \
         of the same build can load: rewrite the filter against the module ABI"
    )]
    GoPlugin,

    #[error("expected the exported {expected} `{symbol}`, found {found}")]
    SymbolMissing { symbol: &'static str, expected: &'static str, found: &'static str },
    #[error("expected `{symbol}` to be initialized data inside the file, found it outside (in .bss?)")]
    RecordNotInFile { symbol: &'static str },
    #[error("expected a module record of at least {expected} bytes, found {found}")]
    RecordTooSmall { expected: u64, found: u64 },
    #[error("expected a module record that starts with SIDEGATE, found `{found}`")]
    BadMagic { found: String },
    #[error("expected ABI major {host}, found {found}: the module is too new for this proxy")]
    AbiMajorTooNew { host: u16, found: u16 },
    #[error("expected ABI major {host}, found {found}")]
    AbiMajorUnknown { host: u16, found: u16 },
    #[error(
        "expected a module for ABI {host_major}.{host_minor} or older, found one that needs at least \
             {host_major}.{found}: this proxy is too old for it"
    )]
    HostMinorTooOld { host_major: u16, host_minor: u16, found: u16 },
    #[error("expected no flags in its record, found {found:#x}, which this proxy does not know")]
    RecordFlags { found: u32 },
    #[error("expected a module whose panics unwind, found one built with panic=abort: a panic would end the proxy")]
    PanicAbort,
    #[error("expected UTF-8 text without control characters as `{field}` of the module record, found other bytes")]
    BadRecordText { field: &'static str },
    #[error("its manifest: {what}")]
    BadManifest { what: String },
    #[error("expected a filter that its manifest names, found {found:?}{hint}")]
    FilterNotInManifest { found: String, hint: String },

    #[error("expected symbols that libc, libm, libgcc or libstdc++ define here, found undefined: {}", List(names))]
    UndefinedSymbols { names: Vec<String> },
    #[error("expected a module for glibc {host} or older, found one that needs glibc {needs}")]
    GlibcTooOld { host: String, needs: String },
    #[error("expected the library {name}, which it needs, on this host: {error}")]
    NeededMissing { name: String, error: String },
    #[error("expected no library beyond libc, libm, libgcc and libstdc++, found that it needs {}", List(names))]
    ForeignNeeded { names: Vec<String> },
    #[error("expected no RPATH or RUNPATH, found {}", List(paths))]
    RunPath { paths: Vec<String> },

    #[error("expected the type layouts of this proxy's ABI, found others: {problem}")]
    LayoutMismatch { problem: String },
    #[error("expected /proc, through which modules are loaded, found none: it is not mounted here")]
    NoProc,
    #[error("the dynamic loader refused it: {error}")]
    LoadFailed { error: String },
    #[error("expected a {table} of at least {expected} bytes, found {found}")]
    TableTooSmall { table: &'static str, expected: u64, found: u64 },
    #[error("expected a usable {table}, but {problem}")]
    TableInvalid { table: &'static str, problem: String },
    #[error("{} was expected, but the module does not have it{}", Filter(filter), Said(message))]
    FilterNotFound { filter: String, message: String },
    #[error("{} refused its configuration{}{}", Filter(filter), At(path), Said(message))]
    FactoryRefused { filter: String, path: String, message: String },
    #[error(
        "{} wants no hook at all with this configuration and would never be called: expected at least one phase, body, \
         trailers or completion in its interests",
        Filter(filter)
    )]
    NoInterest { filter: String },
    #[error("{} panicked while its factory was made{}", Filter(filter), Said(message))]
    FactoryPanicked { filter: String, message: String },

    #[error(
        "expected the module-control thread to answer, found that it hangs{} for {seconds} s: nothing of modules can \
         change until it goes on",
        In(place)
    )]
    ModuleControlHung { place: String, seconds: u64 },
    #[error("expected at most {limit} generations of module `{module}` in the process, found as many: {held}")]
    TooManyGenerations { module: String, limit: usize, held: String },
    #[error(
        "expected the digest of a former generation of module `{module}`, found {found}; there are: {}",
        List(known)
    )]
    NoFormerGeneration { module: String, found: String, known: Vec<String> },
    #[error(
        "expected a module that can be loaded anew, found the Go runtime in it: a process holds one and never lets it \
         go, and `{loaded}` has brought it already; restart the proxy"
    )]
    GoRuntime { loaded: String },
}

impl Reason {
    /// One word for tests and tools.
    pub fn kind(&self) -> &'static str {
        match self {
            Reason::NoSuchFile => "no_such_file",
            Reason::Unreadable { .. } => "unreadable",
            Reason::IsDirectory => "is_directory",
            Reason::NotRegularFile { .. } => "not_regular_file",
            Reason::BadOwner { .. } => "bad_owner",
            Reason::WorldWritable { .. } => "world_writable",
            Reason::WritableDirectory { .. } => "writable_directory",
            Reason::TooLarge { .. } => "too_large",
            Reason::CopyFailed { .. } => "copy_failed",
            Reason::HashMismatch { .. } => "hash_mismatch",
            Reason::OutsideDirectories { .. } => "outside_directories",
            Reason::RevokedFile { .. } => "revoked_file",
            Reason::SignatureMissing { .. } => "signature_missing",
            Reason::SignatureInvalid { .. } => "signature_invalid",
            Reason::SignerUntrusted { .. } => "signer_untrusted",
            Reason::SignerRevoked { .. } => "signer_revoked",
            Reason::NotElf { .. } => "not_elf",
            Reason::WrongClass { .. } => "wrong_class",
            Reason::WrongMachine { .. } => "wrong_machine",
            Reason::WrongType { .. } => "wrong_type",
            Reason::Truncated { .. } => "truncated",
            Reason::Malformed { .. } => "malformed",
            Reason::Ambiguous { .. } => "ambiguous",
            Reason::ExecutableStack { .. } => "executable_stack",
            Reason::WritableCode { .. } => "writable_code",
            Reason::OverlappingSegments { .. } => "overlapping_segments",
            Reason::TextRelocations => "text_relocations",
            Reason::GoPlugin => "go_plugin",
            Reason::SymbolMissing { .. } => "symbol_missing",
            Reason::RecordNotInFile { .. } => "record_not_in_file",
            Reason::RecordTooSmall { .. } => "record_too_small",
            Reason::BadMagic { .. } => "bad_magic",
            Reason::AbiMajorTooNew { .. } => "abi_major_too_new",
            Reason::AbiMajorUnknown { .. } => "abi_major_unknown",
            Reason::HostMinorTooOld { .. } => "host_minor_too_old",
            Reason::RecordFlags { .. } => "record_flags",
            Reason::PanicAbort => "panic_abort",
            Reason::BadRecordText { .. } => "bad_record_text",
            Reason::BadManifest { .. } => "bad_manifest",
            Reason::FilterNotInManifest { .. } => "filter_not_found",
            Reason::UndefinedSymbols { .. } => "undefined_symbols",
            Reason::GlibcTooOld { .. } => "glibc_too_old",
            Reason::NeededMissing { .. } => "needed_missing",
            Reason::ForeignNeeded { .. } => "foreign_needed",
            Reason::RunPath { .. } => "runpath",
            Reason::LayoutMismatch { .. } => "layout_mismatch",
            Reason::NoProc => "no_proc",
            Reason::LoadFailed { .. } => "load_failed",
            Reason::TableTooSmall { .. } => "table_too_small",
            Reason::TableInvalid { .. } => "table_invalid",
            Reason::FilterNotFound { .. } => "filter_not_found",
            Reason::FactoryRefused { .. } => "factory_refused",
            Reason::NoInterest { .. } => "no_interest",
            Reason::FactoryPanicked { .. } => "factory_panicked",
            Reason::ModuleControlHung { .. } => "module-control-hung",
            Reason::TooManyGenerations { .. } => "too_many_generations",
            Reason::NoFormerGeneration { .. } => "no_former_generation",
            Reason::GoRuntime { .. } => "go_runtime",
        }
    }
}

/// A list for people: long ones end with how many more there are.
struct List<'a>(&'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        for (index, item) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
        }
        match self.0.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}

/// A filter, which has no name if it is its module's only one.
struct Filter<'a>(&'a str);

impl fmt::Display for Filter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("its only filter") } else { write!(f, "filter `{}`", self.0) }
    }
}

/// Where a thread is, if that is known.
struct In<'a>(&'a str);

impl fmt::Display for In<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " ({})", self.0) }
    }
}

struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str(" without saying why") } else { write!(f, ": {}", self.0) }
    }
}

struct At<'a>(&'a str);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " at `{}`", self.0) }
    }
}
