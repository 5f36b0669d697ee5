//! Copies of requests in flight: how many there may be.

use std::cell::Cell;
use std::rc::Rc;

/// Copies in flight per listener and worker: with what is kept of each and the
/// buffer of its connection, about 20 MiB. More than a host that answers needs.
const MAX_COPIES: usize = 256;

/// Copies in flight.
#[derive(Debug, Clone, Default)]
pub(crate) struct Copies(Rc<Cell<usize>>);

/// One of them.
pub(crate) struct CopyInFlight(Copies);

impl Copies {
    pub(crate) fn one_more(&self) -> Option<CopyInFlight> {
        let count = self.0.get();
        (count < MAX_COPIES).then(|| {
            self.0.set(count + 1);
            CopyInFlight(self.clone())
        })
    }
}

impl Drop for CopyInFlight {
    fn drop(&mut self) {
        let count = &self.0.0;
        count.set(count.get().saturating_sub(1));
    }
}
