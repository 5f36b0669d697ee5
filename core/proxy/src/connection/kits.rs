//! Kits of streams that run side by side, kept to be used again.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use sidegate_net::WorkerContext;

use crate::stream::Kit;

/// Free kits that a worker keeps at most; above that, so many streams at once
/// are a rare event.
const KEEP: usize = 256;

/// The free kits of one worker. Connections of HTTP/1 have one of their own;
/// streams of HTTP/2 draw one each.
#[derive(Default)]
pub(crate) struct Kits {
    free: RefCell<Vec<Kit>>,
    /// How many there were at least since the last [`Kits::sweep`]: nobody
    /// needed those.
    unneeded: Cell<usize>,
}

impl fmt::Debug for Kits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kits").field("free", &self.free.borrow().len()).finish_non_exhaustive()
    }
}

impl Kits {
    /// A clean kit.
    pub(super) fn draw(self: &Rc<Self>, worker: &WorkerContext) -> Drawn {
        let mut free = self.free.borrow_mut();
        let kit = free.pop().unwrap_or_else(|| Kit::new(worker));
        self.unneeded.set(self.unneeded.get().min(free.len()));
        Drawn { kit: Some(kit), home: self.clone() }
    }

    /// Frees what was not needed of late. Called about once a second.
    pub(crate) fn sweep(&self) {
        let mut free = self.free.borrow_mut();
        let left = free.len() - self.unneeded.get().min(free.len());
        free.truncate(left);
        free.shrink_to(left);
        self.unneeded.set(left);
    }

    /// Frees all.
    pub(crate) fn clear(&self) {
        self.free.take();
        self.unneeded.set(0);
    }

    fn give(&self, mut kit: Kit) {
        let mut free = self.free.borrow_mut();
        if free.len() < KEEP {
            kit.state.reset();
            kit.state.info.connection = None;
            for timer in [&kit.timers.down, &kit.timers.up, &kit.timers.filter, &kit.timers.leave] {
                timer.set(None);
            }
            free.push(kit);
        }
    }
}

/// A kit in use.
pub(super) struct Drawn {
    /// There until the drop.
    kit: Option<Kit>,
    home: Rc<Kits>,
}

impl Drawn {
    pub(super) fn kit(&mut self, worker: &WorkerContext) -> &mut Kit {
        self.kit.get_or_insert_with(|| Kit::new(worker))
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        // What a panic left behind is used for nothing.
        if let Some(kit) = self.kit.take()
            && !std::thread::panicking()
        {
            self.home.give(kit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sidegate_api::WorkerIndex;

    use super::*;

    #[test]
    fn kits_are_used_again_and_clean() {
        let worker = WorkerContext::detached(WorkerIndex(0));
        let kits = Rc::<Kits>::default();
        let mut first = kits.draw(&worker);
        let kit = first.kit(&worker);
        kit.state.request.authority.push('a');
        kit.state.request.headers.add(b"x", b"1").unwrap();
        kit.timers.down.set(Some(Duration::ZERO));
        let at: *const _ = &*kit.state;
        drop(first);
        let mut again = kits.draw(&worker);
        let kit = again.kit(&worker);
        assert!(std::ptr::eq(at, &*kit.state));
        assert!(kit.state.request.authority.is_empty() && kit.state.request.headers.is_empty());
        assert!(!kit.timers.down.is_set());
    }

    #[test]
    fn what_nobody_needed_goes() {
        let worker = WorkerContext::detached(WorkerIndex(0));
        let kits = Rc::<Kits>::default();
        let many: Vec<Drawn> = (0..KEEP + 10).map(|_| kits.draw(&worker)).collect();
        drop(many);
        assert_eq!(kits.free.borrow().len(), KEEP);
        // All were needed since the last time.
        kits.sweep();
        assert_eq!(kits.free.borrow().len(), KEEP);
        let some: Vec<Drawn> = (0..6).map(|_| kits.draw(&worker)).collect();
        drop(some);
        kits.sweep();
        assert_eq!(kits.free.borrow().len(), 6);
        kits.sweep();
        assert_eq!(kits.free.borrow().len(), 0);
    }
}
