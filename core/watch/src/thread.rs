//! The threads that are watched, and the mark each leaves where it is.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::crash::stack::{HandlerStack, StackEnd};
use crate::place::{Hook, Place};

/// What standing still means for a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A worker with this number: its loop beats, idle or not.
    Worker(usize),
    /// Waits for jobs: it stands still only while it is somewhere.
    Jobs,
}

/// A thread that is watched. It is never forgotten, so that others may look
/// at it whatever becomes of it.
#[derive(Debug, Clone, Copy)]
pub struct Watched(pub(crate) &'static ThreadCell);

/// Where a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// In which filter.
    pub place: &'static Place,
    /// In which of its functions.
    pub hook: Hook,
}

/// A thread as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadReport {
    /// Its name.
    pub name: &'static str,
    /// Its role.
    pub role: Role,
    /// Where it is; `None`: in the proxy's own code, or waiting.
    pub at: Option<At>,
    /// The watchdog found that it stands still.
    pub stuck: bool,
}

/// One line of cache of its own: its thread writes it for each hook.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct ThreadCell {
    /// The place's address, with the hook's number in the low bits; null:
    /// nowhere.
    mark: AtomicPtr<Place>,
    beats: AtomicU64,
    /// Written by the watchdog.
    stuck: AtomicBool,
    ended: AtomicBool,
    pub(crate) stack: StackEnd,
    name: String,
    role: Role,
}

static THREADS: Mutex<Vec<&'static ThreadCell>> = Mutex::new(Vec::new());

thread_local! {
    /// Constant and without a destructor: reading it is one load, also in a
    /// signal handler.
    static CURRENT: Cell<Option<&'static ThreadCell>> = const { Cell::new(None) };
}

impl Watched {
    /// A thread that is going to be started.
    pub fn new(name: impl Into<String>, role: Role) -> Self {
        let cell: &'static ThreadCell = Box::leak(Box::new(ThreadCell {
            mark: AtomicPtr::new(null_mut()),
            beats: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            stack: StackEnd::default(),
            name: name.into(),
            role,
        }));
        THREADS.lock().unwrap_or_else(PoisonError::into_inner).push(cell);
        Watched(cell)
    }

    /// Makes the calling thread this one, until the answer is dropped.
    pub fn on_this_thread(self) -> OnThread {
        self.0.stack.note();
        CURRENT.set(Some(self.0));
        OnThread { cell: self.0, _handlers: HandlerStack::set(), _here: PhantomData }
    }

    /// The thread's loop came round, or it took a job.
    pub fn beat(self) {
        // One writer: no read-modify-write is needed.
        self.0.beats.store(self.0.beats.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Whether the watchdog found that it stands still.
    pub fn is_stuck(self) -> bool {
        self.0.stuck.load(Ordering::Relaxed)
    }

    /// Whether it has ended.
    pub fn has_ended(self) -> bool {
        self.0.ended.load(Ordering::Acquire)
    }

    /// What it does.
    pub fn report(self) -> ThreadReport {
        let cell = self.0;
        ThreadReport { name: &cell.name, role: cell.role, at: cell.at(), stuck: self.is_stuck() }
    }

    /// Tells threads apart.
    pub(crate) fn key(self) -> usize {
        std::ptr::from_ref(self.0).addr()
    }

    pub(crate) fn beats(self) -> u64 {
        self.0.beats.load(Ordering::Relaxed)
    }

    pub(crate) fn role(self) -> Role {
        self.0.role
    }

    pub(crate) fn set_stuck(self, stuck: bool) {
        self.0.stuck.store(stuck, Ordering::Relaxed);
    }
}

impl ThreadCell {
    pub(crate) fn at(&self) -> Option<At> {
        at_of(self.mark())
    }

    pub(crate) fn mark(&self) -> *mut Place {
        self.mark.load(Ordering::Relaxed)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// What a mark says.
pub(crate) fn at_of(mark: *mut Place) -> Option<At> {
    let hook = Hook::from_number(mark.addr() & HOOK_BITS)?;
    let place = mark.map_addr(|address| address & !HOOK_BITS);
    // SAFETY: marks are made of places, which live as long as the process
    // and do not change; a place is published with a lock before anybody
    // can mark it.
    unsafe { place.as_ref() }.map(|place| At { place, hook })
}

/// The calling thread's cell; `None`: nobody watches it. May be called in a
/// signal handler.
pub(crate) fn current() -> Option<&'static ThreadCell> {
    CURRENT.get()
}

const HOOK_BITS: usize = align_of::<Place>() - 1;

/// The calling thread is in a filter until this is dropped; then it is where
/// it was before.
#[derive(Debug)]
pub struct Mark {
    cell: Option<&'static ThreadCell>,
    before: *mut Place,
}

/// Marks that the calling thread calls `hook` of `place`. On a thread that
/// nobody watches it does nothing.
#[inline]
pub fn enter(place: &'static Place, hook: Hook) -> Mark {
    let Some(cell) = CURRENT.get() else { return Mark { cell: None, before: null_mut() } };
    let before = cell.mark.load(Ordering::Relaxed);
    let mark = std::ptr::from_ref(place).cast_mut().map_addr(|address| address | hook as usize);
    cell.mark.store(mark, Ordering::Relaxed);
    Mark { cell: Some(cell), before }
}

impl Drop for Mark {
    #[inline]
    fn drop(&mut self) {
        if let Some(cell) = self.cell {
            cell.mark.store(self.before, Ordering::Relaxed);
        }
    }
}

/// What the calling thread is doing; `None`: nobody watches it.
pub fn here() -> Option<ThreadReport> {
    current().map(|cell| Watched(cell).report())
}

/// Says that the calling thread is watched, for as long as it lives.
#[derive(Debug)]
pub struct OnThread {
    cell: &'static ThreadCell,
    _handlers: Option<HandlerStack>,
    _here: PhantomData<*const ()>,
}

impl Drop for OnThread {
    fn drop(&mut self) {
        CURRENT.set(None);
        self.cell.ended.store(true, Ordering::Release);
    }
}

/// All threads that live.
pub fn threads() -> Vec<ThreadReport> {
    living().into_iter().map(Watched::report).collect()
}

pub(crate) fn living() -> Vec<Watched> {
    let threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    threads.iter().copied().map(Watched).filter(|thread| !thread.has_ended()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_nest_and_end_with_a_panic() {
        let (outer, inner) = (Place::built_in("outer"), Place::of_module("m", "inner", "00"));
        let thread = Watched::new("test-marks", Role::Jobs);
        let at = || thread.report().at.map(|at| (at.place.filter(), at.hook));
        drop(enter(outer, Hook::Load));
        assert_eq!(at(), None, "a thread that is not watched leaves no mark");
        let on = thread.on_this_thread();
        let mark = enter(outer, Hook::CreateFilter);
        assert_eq!(at(), Some(("outer", Hook::CreateFilter)));
        let _ = std::panic::catch_unwind(|| {
            let _mark = enter(inner, Hook::Complete);
            assert_eq!(at(), Some(("inner", Hook::Complete)));
            std::panic::resume_unwind(Box::new(()));
        });
        assert_eq!(at(), Some(("outer", Hook::CreateFilter)));
        drop(mark);
        assert_eq!((at(), here().map(|h| h.name)), (None, Some("test-marks")));
        drop(on);
        assert!(thread.has_ended() && here().is_none());
        assert!(!threads().iter().any(|known| known.name == "test-marks"));
    }
}
