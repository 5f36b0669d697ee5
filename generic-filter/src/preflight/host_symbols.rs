//! Whether this host has what a module wants of the system's libraries.

use std::ffi::{CString, c_char, c_void};

use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};

use crate::elf::{Binding, Requirement, Symbol};
use crate::refusal::Reason;
use crate::text::{one_line, printable};

/// Bytes that are shown of a name; C++ makes long ones.
const MAX_NAME: usize = 1024;

/// The libraries that every module may need.
const SYSTEM: [&str; 9] = [
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libstdc++.so.6",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
];

pub(super) fn is_system(library: &str) -> bool {
    SYSTEM.contains(&library)
}

/// Checks the glibc versions that are wanted as such: the loader refuses a
/// file for them even where no symbol is missing.
pub(super) fn check_versions(wanted: &[Requirement<'_>]) -> Result<(), Reason> {
    let Some(host) = glibc_version() else {
        return Ok(());
    };
    let newest = wanted
        .iter()
        .filter(|r| !r.weak)
        .filter_map(|r| std::str::from_utf8(r.version).ok()?.strip_prefix("GLIBC_"))
        .filter_map(|text| Some((numbers(text)?, text)))
        .max();
    match (newest, numbers(&host)) {
        (Some((needs, text)), Some(has)) if needs > has => Err(Reason::GlibcTooOld { host, needs: text.to_owned() }),
        _ => Ok(()),
    }
}

/// Checks every undefined symbol. `needed` are system libraries: opening them
/// runs their code, which the module would make run as well, and none of the
/// module's.
pub(super) fn check_undefined(symbols: &[Symbol<'_>], needed: &[String]) -> Vec<Reason> {
    let mut problems = Vec::new();
    let mut libraries = Vec::new();
    for name in needed {
        match Opened::open(name) {
            Ok(library) => libraries.push(library),
            Err(error) => {
                problems.push(Reason::NeededMissing { name: name.clone(), error: one_line(&error) });
            }
        }
    }
    let mut names = Vec::new();
    for symbol in symbols.iter().filter(|s| !s.defined && s.binding != Binding::Weak && s.binding != Binding::Local) {
        if !resolves(symbol, &libraries) {
            let name = printable(symbol.name, MAX_NAME);
            names.push(match symbol.version {
                Some(version) => format!("{name}@{}", printable(version, MAX_NAME)),
                None => name,
            });
        }
    }
    // A missing library explains its symbols; naming them too would hide it.
    if !names.is_empty() && problems.is_empty() {
        problems.push(Reason::UndefinedSymbols { names });
    }
    problems
}

fn resolves(symbol: &Symbol<'_>, libraries: &[Opened]) -> bool {
    let Ok(name) = CString::new(symbol.name) else {
        return false;
    };
    let Ok(version) = symbol.version.map(CString::new).transpose() else {
        return false;
    };
    let version = version.as_ref().map_or(std::ptr::null(), |v| v.as_ptr());
    if lookup(libc::RTLD_DEFAULT, name.as_ptr(), version) {
        return true;
    }
    libraries.iter().any(|library| lookup(library.0, name.as_ptr(), version))
}

fn lookup(handle: *mut c_void, name: *const c_char, version: *const c_char) -> bool {
    #[cfg(target_env = "gnu")]
    if !version.is_null() {
        // SAFETY: `handle` is RTLD_DEFAULT or open; both texts end in NUL.
        return !unsafe { libc::dlvsym(handle, name, version) }.is_null();
    }
    let _ = version;
    // SAFETY: as above.
    !unsafe { libc::dlsym(handle, name) }.is_null()
}

/// A library that is held open while symbols are looked up in it.
struct Opened(*mut c_void);

impl Opened {
    fn open(name: &str) -> Result<Self, libloading::Error> {
        // SAFETY: a library of the system from the fixed list; its
        // initializers are those that run for every program that links it.
        let library = unsafe { Library::open(Some(name), RTLD_LAZY | RTLD_LOCAL) }?;
        Ok(Opened(library.into_raw()))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: the handle came from `into_raw` and is given back once.
        drop(unsafe { Library::from_raw(self.0) });
    }
}

#[cfg(target_env = "gnu")]
fn glibc_version() -> Option<String> {
    // SAFETY: answers a constant text that ends in NUL.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    version.to_str().ok().map(str::to_owned)
}

#[cfg(not(target_env = "gnu"))]
fn glibc_version() -> Option<String> {
    None
}

fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}
