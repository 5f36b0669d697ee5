//! Where the code of each generation lies, and who holds it. A static table,
//! read without a lock: the functions of [`super`] are called by threads that
//! the proxy knows nothing of.

use std::ffi::{CStr, CString, c_int, c_void};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use sidegate_abi::ThreadDetach;

/// Place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotIndex(pub(super) u16);

/// Generations in the process at once; what finds no slot is never unmapped.
const SLOTS: usize = 512;

static TABLE: [Entry; SLOTS] = [const { Entry::new() }; SLOTS];
/// Slots from here on were never used.
static HIGH: AtomicUsize = AtomicUsize::new(0);
/// Code is being loaded for this slot, plus one, so that an address may be of
/// an object that has no range yet.
static LOADING: AtomicU32 = AtomicU32::new(0);
static LOADED_AS: Mutex<Option<CString>> = Mutex::new(None);

struct Entry {
    taken: AtomicBool,
    /// Odd while the range is being changed.
    version: AtomicU32,
    start: AtomicUsize,
    end: AtomicUsize,
    /// Threads that must do something before the code may go.
    holders: AtomicUsize,
    /// Those of them that the module started.
    threads: AtomicUsize,
    /// The module's `sidegate_thread_detach_v1`.
    detach: AtomicPtr<c_void>,
    /// Called, once, when the last holder is gone.
    when_idle: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Entry {
    const fn new() -> Self {
        Entry {
            taken: AtomicBool::new(false),
            version: AtomicU32::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            holders: AtomicUsize::new(0),
            threads: AtomicUsize::new(0),
            detach: AtomicPtr::new(std::ptr::null_mut()),
            when_idle: Mutex::new(None),
        }
    }

    fn contains(&self, address: usize) -> bool {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let range = self.start.load(Ordering::Relaxed)..self.end.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            if version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version {
                return range.contains(&address);
            }
            std::hint::spin_loop();
        }
    }

    /// Changed under `LOADED_AS` only.
    fn set_range(&self, range: Range<usize>) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        self.start.store(range.start, Ordering::Relaxed);
        self.end.store(range.end, Ordering::Relaxed);
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }
}

/// A generation's slot. Given back by [`Slot::release`] only: one that is
/// dropped stays taken, as its code does.
#[derive(Debug)]
pub(crate) struct Slot(SlotIndex);

impl Slot {
    /// A free one, if there is any.
    pub(crate) fn take() -> Option<Self> {
        let free =
            |entry: &Entry| entry.taken.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let index = TABLE.iter().position(free)?;
        HIGH.fetch_max(index + 1, Ordering::AcqRel);
        Some(Slot(SlotIndex(index as u16)))
    }

    pub(crate) fn index(&self) -> SlotIndex {
        self.0
    }

    /// Code that runs while `load` does, from the object that the loader calls
    /// `name`, is this slot's. One load at a time.
    pub(crate) fn while_loading<R>(&self, name: &CStr, load: impl FnOnce() -> R) -> R {
        *loaded_as() = Some(name.to_owned());
        LOADING.store(u32::from(self.0.0) + 1, Ordering::Release);
        let result = load();
        if let Some(range) = object_named(name) {
            let _changing = loaded_as();
            self.0.entry().set_range(range);
        }
        LOADING.store(0, Ordering::Release);
        *loaded_as() = None;
        result
    }

    /// Where its code is.
    pub(crate) fn range(&self) -> Range<usize> {
        let entry = self.0.entry();
        entry.start.load(Ordering::Relaxed)..entry.end.load(Ordering::Relaxed)
    }

    /// What to call on a thread before it lets go.
    pub(crate) fn set_detach(&self, detach: ThreadDetach) {
        self.0.entry().detach.store(detach as *mut c_void, Ordering::Release);
    }

    /// Threads that hold it, its own included.
    pub(crate) fn holders(&self) -> usize {
        self.0.entry().holders.load(Ordering::Acquire)
    }

    /// Gives the slot back. The code must be gone.
    pub(crate) fn release(self) {
        super::keys::delete_all(self.0);
        let entry = self.0.entry();
        {
            let _changing = loaded_as();
            entry.set_range(0..0);
        }
        entry.detach.store(std::ptr::null_mut(), Ordering::Relaxed);
        entry.holders.store(0, Ordering::Relaxed);
        entry.threads.store(0, Ordering::Relaxed);
        *lock(&entry.when_idle) = None;
        entry.taken.store(false, Ordering::Release);
    }
}

impl SlotIndex {
    /// Whose code or data is at one of these addresses.
    pub(super) fn of(addresses: &[usize]) -> Option<SlotIndex> {
        let high = HIGH.load(Ordering::Acquire);
        if high == 0 {
            return None;
        }
        let known = TABLE[..high].iter().position(|entry| addresses.iter().any(|&address| entry.contains(address)));
        match known {
            Some(index) => Some(SlotIndex(index as u16)),
            None if LOADING.load(Ordering::Acquire) != 0 => addresses.iter().find_map(|&address| being_loaded(address)),
            None => None,
        }
    }

    /// Threads of the module's own that have not ended.
    pub(crate) fn threads(self) -> usize {
        self.entry().threads.load(Ordering::Acquire)
    }

    /// Calls `then` once nobody holds the slot: at once, or on the last thread
    /// that does.
    pub(crate) fn when_idle(self, then: impl FnOnce() + Send + 'static) {
        *lock(&self.entry().when_idle) = Some(Box::new(then));
        if self.entry().holders.load(Ordering::Acquire) == 0 {
            self.notify();
        }
    }

    fn entry(self) -> &'static Entry {
        &TABLE[usize::from(self.0)]
    }

    /// One more thread holds it.
    pub(super) fn add_holder(self) {
        self.entry().holders.fetch_add(1, Ordering::AcqRel);
    }

    /// A thread has let go; the last one tells who waits for that.
    pub(super) fn remove_holder(self) {
        if self.entry().holders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.notify();
        }
    }

    pub(super) fn add_thread(self) {
        self.entry().threads.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn remove_thread(self) {
        self.entry().threads.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn detach(self) -> Option<ThreadDetach> {
        let detach = self.entry().detach.load(Ordering::Acquire);
        // SAFETY: null, or stored by `set_detach` from a function of this type.
        unsafe { std::mem::transmute::<*mut c_void, Option<ThreadDetach>>(detach) }
    }

    #[cold]
    fn notify(self) {
        let then = lock(&self.entry().when_idle).take();
        if let Some(then) = then {
            then();
        }
    }
}

/// The slot for which the object around `address` is being loaded. Its range
/// is known from here on.
#[cold]
fn being_loaded(address: usize) -> Option<SlotIndex> {
    let (name, range) = object_around(address)?;
    let wanted = loaded_as();
    let slot = LOADING.load(Ordering::Acquire).checked_sub(1)?;
    if wanted.as_deref() != Some(name.as_c_str()) {
        return None;
    }
    let index = SlotIndex(slot as u16);
    index.entry().set_range(range);
    Some(index)
}

fn loaded_as() -> std::sync::MutexGuard<'static, Option<CString>> {
    LOADED_AS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T: ?Sized>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Name and addresses of the loaded object around `address`.
pub(super) fn object_around(address: usize) -> Option<(CString, Range<usize>)> {
    find_object(|_, range| range.contains(&address))
}

fn object_named(name: &CStr) -> Option<Range<usize>> {
    find_object(|known, _| known == name).map(|(_, range)| range)
}

/// What the loader is asked for, and its answer.
struct Search<'a> {
    wanted: &'a dyn Fn(&CStr, &Range<usize>) -> bool,
    found: Option<(CString, Range<usize>)>,
}

fn find_object(wanted: impl Fn(&CStr, &Range<usize>) -> bool) -> Option<(CString, Range<usize>)> {
    let mut search = Search { wanted: &wanted, found: None };
    // SAFETY: the callback gets what it is told to expect: the search, which
    // outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(look), std::ptr::from_mut(&mut search).cast()) };
    search.found
}

unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: libc::size_t, search: *mut c_void) -> c_int {
    // SAFETY: the loader's entry is valid during the call, and `search` is
    // what `find_object` passed.
    let (info, search) = unsafe { (&*info, &mut *search.cast::<Search<'_>>()) };
    let name = match info.dlpi_name.is_null() {
        true => c"",
        // SAFETY: a text of the loader's.
        false => unsafe { CStr::from_ptr(info.dlpi_name) },
    };
    let headers = match info.dlpi_phdr.is_null() {
        true => &[][..],
        // SAFETY: as many headers as it says.
        false => unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) },
    };
    let loads = headers.iter().filter(|header| header.p_type == libc::PT_LOAD).map(|header| {
        let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
        start..start.wrapping_add(header.p_memsz as usize)
    });
    let whole = loads.reduce(|all, load| all.start.min(load.start)..all.end.max(load.end));
    match whole.filter(|range| (search.wanted)(name, range)) {
        Some(range) => {
            search.found = Some((name.to_owned(), range));
            1
        }
        None => 0,
    }
}
