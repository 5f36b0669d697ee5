//! The loader's own list, for the one time at which our table is behind: while
//! the initializers of a module run, which is within `dlopen`.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Beginning of an entry of the loader's list, as `link.h` has it for all
/// System V systems.
#[repr(C)]
struct LinkMap {
    bias: usize,
    name: *const libc::c_char,
    dynamic: *const libc::c_void,
    next: *mut LinkMap,
    previous: *mut LinkMap,
}

static FIRST: AtomicPtr<LinkMap> = AtomicPtr::new(null_mut());

/// Takes note of the list's beginning, the program itself, which stays.
pub(super) fn remember_first() {
    #[cfg(target_env = "gnu")]
    // SAFETY: a null name is the program itself, whose handle is never
    // invalid; RTLD_DI_LINKMAP writes one pointer.
    unsafe {
        let mut first = null_mut::<LinkMap>();
        let program = libc::dlopen(std::ptr::null(), libc::RTLD_NOW);
        let asked = libc::dlinfo(program, libc::RTLD_DI_LINKMAP, std::ptr::from_mut(&mut first).cast());
        if !program.is_null() && asked == 0 {
            FIRST.store(first, Ordering::Relaxed);
        }
    }
}

/// Where the file is mapped that begins closest below `address`. Only for a
/// thread that is within `dlopen` and runs initializers: the list does not
/// change then.
pub(super) fn bias_below(address: usize) -> Option<usize> {
    // Longer lists are no lists.
    const MOST: usize = 4096;
    let (mut at, mut best) = (FIRST.load(Ordering::Relaxed), None);
    for _ in 0..MOST {
        // SAFETY: entries of the loader's, linked until null, which nobody
        // changes meanwhile.
        let Some(map) = (unsafe { at.as_ref() }) else { break };
        if map.bias <= address && best.is_none_or(|best| map.bias > best) {
            best = Some(map.bias);
        }
        at = map.next;
    }
    best
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;
    use crate::crash::objects;

    #[test]
    fn the_list_and_the_table_agree() {
        remember_first();
        objects::note_loaded(None);
        let function = libc::abs as *const () as usize;
        let known = objects::around(function).unwrap();
        assert_eq!(bias_below(function), Some(known.bias));
        assert_eq!(bias_below(0).filter(|bias| *bias > 0), None);
    }
}
