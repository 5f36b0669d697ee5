//! The host's record of one generation of one module, behind the pointer that
//! the module passes to log and metric functions from any thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sidegate_abi as abi;
use sidegate_api::{Counter, Metrics};

use crate::series::SeriesTable;

/// Who logs and counts.
#[derive(Debug)]
pub(crate) struct ModuleIdentity {
    pub(crate) name: String,
    pub(crate) metrics: Metrics,
    pub(crate) series: SeriesTable,
    /// Faults of all generations, for the metrics page.
    fault_counter: Option<Counter>,
    log: LogRate,
    /// Lines that were not written.
    lost_lines: Option<Counter>,
}

impl ModuleIdentity {
    /// Makes one that is freed after the module was unmapped, if ever: the ABI
    /// promises modules that the pointer is valid for as long as their code is.
    pub(crate) fn leaked(name: &str, metrics: &Metrics) -> &'static Self {
        Box::leak(Box::new(ModuleIdentity {
            name: name.to_owned(),
            metrics: metrics.clone(),
            series: SeriesTable::default(),
            fault_counter: metrics.counter("sidegate_module_faults_total", &[("module", name)]).ok(),
            log: LogRate::new(),
            lost_lines: metrics.counter("sidegate_module_log_lines_lost_total", &[("module", name)]).ok(),
        }))
    }

    /// What the module gets.
    pub(crate) fn as_abi(&'static self) -> *mut abi::Module {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// The other way.
    ///
    /// # Safety
    /// `module` must be NULL or from [`ModuleIdentity::as_abi`].
    pub(crate) unsafe fn from_abi(module: *mut abi::Module) -> Option<&'static Self> {
        // SAFETY: by the caller's promise it points to an identity that is
        // there for as long as the calling code is.
        unsafe { module.cast::<Self>().cast_const().as_ref() }
    }

    /// Counts a fault.
    pub(crate) fn count_fault(&self) {
        if let Some(counter) = &self.fault_counter {
            counter.inc();
        }
    }

    /// Takes the right to write one line; a line without it is counted.
    pub(crate) fn may_log(&self) -> bool {
        let may = self.log.take();
        if let (false, Some(lost)) = (may, &self.lost_lines) {
            lost.inc();
        }
        may
    }
}

/// At most so many lines per second and module.
const LINES_PER_SECOND: u64 = 1000;

/// Seconds since its making and lines written in that second, in one word.
#[derive(Debug)]
struct LogRate {
    start: Instant,
    word: AtomicU64,
}

impl LogRate {
    fn new() -> Self {
        LogRate { start: Instant::now(), word: AtomicU64::new(0) }
    }

    fn take(&self) -> bool {
        self.take_at(self.start.elapsed().as_secs())
    }

    fn take_at(&self, second: u64) -> bool {
        let update = |word: u64| match word >> 32 == second {
            true if word & 0xffff_ffff >= LINES_PER_SECOND => None,
            true => Some(word + 1),
            false => Some(second << 32 | 1),
        };
        self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_own_lines() {
        let rate = LogRate::new();
        for second in [0, 1, 7] {
            for _ in 0..LINES_PER_SECOND {
                assert!(rate.take_at(second));
            }
            assert!(!rate.take_at(second));
        }
    }
}
