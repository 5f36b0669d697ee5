//! Forks: the proxy makes none but those that lead to another program at once,
//! modules should make none at all. A child must at least not keep ports and
//! connections open that belong to the proxy.

use std::cell::Cell;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};

use crate::descriptors::close_what_serves;
use crate::place::Place;
use crate::thread::{At, ThreadCell, at_of, current};

/// Listening sockets of a process; more are not closed in a child.
const ROOM: usize = 1024;
const FREE: i32 = -1;

static LISTENING: [AtomicI32; ROOM] = [const { AtomicI32::new(FREE) }; ROOM];
static FORKS: AtomicU64 = AtomicU64::new(0);
/// The thread that forked last, and its mark then.
static THREAD: AtomicPtr<ThreadCell> = AtomicPtr::new(std::ptr::null_mut());
static MARK: AtomicPtr<Place> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    /// The proxy itself is starting a program on this thread. Has no destructor
    /// and is there from the first, so that a child may read it.
    static STARTING: Cell<bool> = const { Cell::new(false) };
}

/// Lets `start` fork in order to become another program: nothing is told of
/// that, and the child closes nothing, as its descriptors close when it becomes
/// one.
pub fn starting_a_program<T>(start: impl FnOnce() -> T) -> T {
    struct Over;
    impl Drop for Over {
        fn drop(&mut self) {
            STARTING.set(false);
        }
    }
    STARTING.set(true);
    let _over = Over;
    start()
}

/// A listening socket that a child closes, until this is dropped. To be
/// dropped before the socket is.
#[derive(Debug)]
pub struct Listening(Option<usize>);

impl Listening {
    /// Takes note of `socket`.
    pub fn note(socket: &impl AsRawFd) -> Self {
        let socket = socket.as_raw_fd();
        let take = |slot: &AtomicI32| slot.compare_exchange(FREE, socket, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        Listening(LISTENING.iter().position(take))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(slot) = self.0.and_then(|index| LISTENING.get(index)) {
            slot.store(FREE, Ordering::Relaxed);
        }
    }
}

/// What is known of forks since the last question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forks {
    pub(crate) times: u64,
    /// Of the last one.
    pub(crate) thread: Option<&'static str>,
    pub(crate) at: Option<At>,
}

/// Forks since `seen`, which is brought up to date.
pub(crate) fn since(seen: &mut u64) -> Option<Forks> {
    let forks = FORKS.load(Ordering::Acquire);
    let times = forks - std::mem::replace(seen, forks);
    // SAFETY: threads' cells live as long as the process.
    let thread = unsafe { THREAD.load(Ordering::Relaxed).as_ref() };
    (times > 0).then(|| Forks { times, thread: thread.map(ThreadCell::name), at: at_of(MARK.load(Ordering::Relaxed)) })
}

unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> libc::c_int;
}

/// Has forks counted, and sockets closed in children, from now on.
pub(crate) fn install() {
    // SAFETY: both functions do only what is allowed after a fork.
    unsafe { pthread_atfork(None, Some(in_parent), Some(in_child)) };
}

/// On the thread that forked; the watchdog tells later.
unsafe extern "C" fn in_parent() {
    if STARTING.get() {
        return;
    }
    let cell = current();
    MARK.store(cell.map_or(std::ptr::null_mut(), ThreadCell::mark), Ordering::Relaxed);
    THREAD.store(cell.map_or(std::ptr::null_mut(), |cell| std::ptr::from_ref(cell).cast_mut()), Ordering::Relaxed);
    FORKS.fetch_add(1, Ordering::Release);
}

unsafe extern "C" fn in_child() {
    if STARTING.get() {
        return;
    }
    for slot in &LISTENING {
        let socket = slot.load(Ordering::Relaxed);
        if socket != FREE {
            // SAFETY: a number; the child's copy of the socket is nobody's
            // there.
            unsafe { libc::close(socket) };
        }
    }
    // SAFETY: the child has no thread but this one, which is in the fork.
    unsafe { close_what_serves() };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_table_is_free_again() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let noted = Listening::note(&socket);
        let index = noted.0.unwrap();
        assert_eq!(LISTENING[index].load(Ordering::Relaxed), socket.as_raw_fd());
        drop(noted);
        assert_eq!(LISTENING[index].load(Ordering::Relaxed), FREE);
    }
}
