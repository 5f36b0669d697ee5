//! The files that are mapped as code, filled when something is loaded and only
//! read when something crashes.

use std::ffi::CStr;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use libc::{c_int, c_void, dl_phdr_info, size_t};

/// A file's place in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) name: Name,
    /// Added to the addresses in the file.
    pub(crate) bias: usize,
    range: Range<usize>,
}

/// Longest name that is kept, in bytes.
const LONGEST: usize = 64;

/// A name without memory of its own: it is read in a signal handler.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name([u8; LONGEST]);

impl Name {
    fn new(name: &str) -> Self {
        let mut bytes = [0; LONGEST];
        for (to, from) in bytes.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        Name(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

/// More than any sane process has; what does not fit has no name.
const ROOM: usize = 512;

/// An entry that a handler may read while it changes: the worst that comes of
/// that is a wrong name. An end of 0 means that it is free.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    bias: AtomicUsize,
    name: [AtomicU8; LONGEST],
}

impl Slot {
    const fn new() -> Self {
        let (start, end, bias) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        Slot { start, end, bias, name: [const { AtomicU8::new(0) }; LONGEST] }
    }

    fn range(&self) -> Range<usize> {
        let end = self.end.load(Ordering::Acquire);
        self.start.load(Ordering::Relaxed)..end
    }

    fn is_free(&self) -> bool {
        self.end.load(Ordering::Relaxed) == 0
    }

    fn fill(&self, object: &Object) {
        self.start.store(object.range.start, Ordering::Relaxed);
        self.bias.store(object.bias, Ordering::Relaxed);
        for (to, from) in self.name.iter().zip(object.name.0) {
            to.store(from, Ordering::Relaxed);
        }
        self.end.store(object.range.end, Ordering::Release);
    }

    fn read(&self) -> Object {
        let mut name = [0; LONGEST];
        for (to, from) in name.iter_mut().zip(&self.name) {
            *to = from.load(Ordering::Relaxed);
        }
        Object { name: Name(name), bias: self.bias.load(Ordering::Relaxed), range: self.range() }
    }
}

static OBJECTS: [Slot; ROOM] = [const { Slot::new() }; ROOM];
static FILLING: Mutex<()> = Mutex::new(());

/// The file around an address. May be called in a signal handler.
pub(crate) fn around(address: usize) -> Option<Object> {
    OBJECTS.iter().find(|slot| slot.range().contains(&address)).map(Slot::read)
}

/// Takes note of what is loaded and not known yet. `named`: what the loader
/// calls a module, and its name.
pub(crate) fn note_loaded(named: Option<(&str, &str)>) {
    let _filling = FILLING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut found = Vec::<(String, Object)>::new();
    // SAFETY: the callback gets what it is told to expect: the vector, which
    // outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(collect), std::ptr::from_mut(&mut found).cast()) };
    for (file, mut object) in found {
        if OBJECTS.iter().any(|slot| slot.range() == object.range) {
            continue;
        }
        let Some(free) = OBJECTS.iter().find(|slot| slot.is_free()) else { continue };
        object.name = Name::new(match named {
            Some((path, name)) if path == file => name,
            _ if file.is_empty() => "sidegate",
            _ => file.rsplit('/').next().unwrap_or_default(),
        });
        free.fill(&object);
    }
}

/// What was at these addresses is there no more.
pub(crate) fn note_unloaded(addresses: &Range<usize>) {
    let _filling = FILLING.lock().unwrap_or_else(PoisonError::into_inner);
    for slot in OBJECTS.iter().filter(|slot| slot.range() == *addresses) {
        slot.end.store(0, Ordering::Release);
    }
}

/// Called for each object by the loader.
unsafe extern "C" fn collect(info: *mut dl_phdr_info, _: size_t, found: *mut c_void) -> c_int {
    // SAFETY: the loader's entry and headers are valid during the call, and
    // `found` is what `note_loaded` passed.
    let (info, found) = unsafe { (&*info, &mut *found.cast::<Vec<(String, Object)>>()) };
    let name = match info.dlpi_name.is_null() {
        true => String::new(),
        // SAFETY: a text of the loader's.
        false => unsafe { CStr::from_ptr(info.dlpi_name) }.to_string_lossy().into_owned(),
    };
    let headers = match info.dlpi_phdr.is_null() {
        true => &[][..],
        // SAFETY: as many headers as it says.
        false => unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) },
    };
    let bias = info.dlpi_addr as usize;
    let loads = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let ends = loads.map(|header| {
        let start = bias.wrapping_add(header.p_vaddr as usize);
        (start, start.wrapping_add(header.p_memsz as usize))
    });
    let whole = ends.reduce(|(start, end), (from, to)| (start.min(from), end.max(to)));
    if let Some((start, end)) = whole {
        found.push((name, Object { name: Name([0; LONGEST]), bias, range: start..end }));
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_program_and_of_the_c_library_are_known() {
        note_loaded(None);
        note_loaded(None);
        let own = around(note_loaded as *const () as usize).unwrap();
        assert_eq!(own.name.as_bytes(), b"sidegate");
        let libc = around(libc::abs as *const () as usize).unwrap();
        assert!(libc.name.as_bytes().starts_with(b"libc"), "{libc:?}");
        assert_eq!(around(8), None);
        let twice = OBJECTS.iter().filter(|slot| !slot.is_free() && slot.read().name.as_bytes() == b"sidegate");
        assert_eq!(twice.count(), 1);

        note_unloaded(&(8..16));
        assert_eq!(around(note_loaded as *const () as usize), Some(own));
        note_unloaded(&libc.range);
        assert_eq!(around(libc::abs as *const () as usize), None);
        note_loaded(None);
        assert_eq!(around(libc::abs as *const () as usize), Some(libc));
    }
}
