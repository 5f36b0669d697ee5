//! The files that are mapped as code, filled when something is loaded and only
//! read when something crashes.

use std::ffi::CStr;
use std::sync::{Mutex, OnceLock, PoisonError};

use libc::{c_int, c_void, dl_phdr_info, size_t};

/// A file's place in memory. Modules stay mapped, so it stays true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) name: String,
    /// Added to the addresses in the file.
    pub(crate) bias: usize,
    start: usize,
    end: usize,
}

/// More than any sane process has; what does not fit has no name.
const ROOM: usize = 512;

static OBJECTS: [OnceLock<Object>; ROOM] = [const { OnceLock::new() }; ROOM];
static FILLING: Mutex<()> = Mutex::new(());

/// The file around an address. May be called in a signal handler: a table that
/// is being filled ends before the entry that is not there.
pub(crate) fn around(address: usize) -> Option<&'static Object> {
    let known = OBJECTS.iter().map_while(OnceLock::get);
    known.into_iter().find(|object| (object.start..object.end).contains(&address))
}

/// Takes note of what is loaded and not known yet. `named`: what the loader
/// calls a module, and its name.
pub(crate) fn note_loaded(named: Option<(&str, &str)>) {
    let _filling = FILLING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut found = Vec::<Object>::new();
    // SAFETY: the callback gets what it is told to expect: the vector, which
    // outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(collect), std::ptr::from_mut(&mut found).cast()) };
    for mut object in found {
        let is_known = |known: &Object| known.start == object.start && known.end == object.end;
        let mut slots = OBJECTS.iter();
        let Some(free) = slots.find(|slot| slot.get().is_none_or(is_known)).filter(|slot| slot.get().is_none()) else {
            continue;
        };
        object.name = match named {
            Some((path, name)) if path == object.name => name.to_owned(),
            _ if object.name.is_empty() => "sidegate".to_owned(),
            _ => object.name.rsplit('/').next().unwrap_or_default().to_owned(),
        };
        let _ = free.set(object);
    }
}

/// Called for each object by the loader.
unsafe extern "C" fn collect(info: *mut dl_phdr_info, _: size_t, found: *mut c_void) -> c_int {
    // SAFETY: the loader's entry and headers are valid during the call, and
    // `found` is what `note_loaded` passed.
    let (info, found) = unsafe { (&*info, &mut *found.cast::<Vec<Object>>()) };
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
        found.push(Object { name, bias, start, end });
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
        assert_eq!(own.name, "sidegate");
        let libc = around(libc::abs as *const () as usize).unwrap();
        assert!(libc.name.starts_with("libc"), "{libc:?}");
        assert_eq!(around(8), None);
        let known: Vec<_> = OBJECTS.iter().map_while(OnceLock::get).collect();
        let twice = known.iter().filter(|object| object.name == "sidegate").count();
        assert_eq!(twice, 1, "{known:?}");
    }
}
