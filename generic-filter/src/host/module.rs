//! What works from any thread: log, clocks, metrics.

use sidegate_abi::{
    BAD_ARGUMENT, BAD_VALUE, Header, LIMIT, LOG_DEBUG, LOG_ERROR, LOG_INFO, LOG_TRACE, LOG_WARN, Module, Slice,
};
use tracing::Level;

use super::answer;
use super::arguments::{Out, array, bytes, field};
use crate::identity::ModuleIdentity;
use crate::series::Series;
use crate::text;

/// Longest line that is written.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// The module behind a pointer.
fn identity(module: *mut Module) -> Result<&'static ModuleIdentity, u32> {
    // SAFETY: NULL, or what the host gave the module, by the ABI.
    unsafe { ModuleIdentity::from_abi(module) }.ok_or(BAD_ARGUMENT)
}

fn enabled(level: u32) -> Option<bool> {
    Some(match level {
        LOG_ERROR => tracing::enabled!(target: "module", Level::ERROR),
        LOG_WARN => tracing::enabled!(target: "module", Level::WARN),
        LOG_INFO => tracing::enabled!(target: "module", Level::INFO),
        LOG_DEBUG => tracing::enabled!(target: "module", Level::DEBUG),
        LOG_TRACE => tracing::enabled!(target: "module", Level::TRACE),
        _ => return None,
    })
}

pub(super) unsafe extern "C" fn log_enabled(module: *mut Module, level: u32) -> u32 {
    let mut is = 0;
    answer(|| {
        identity(module)?;
        is = u32::from(enabled(level) == Some(true));
        Ok(())
    });
    is
}

pub(super) unsafe extern "C" fn log(module: *mut Module, level: u32, message: Slice) -> u32 {
    answer(|| {
        let identity = identity(module)?;
        // SAFETY: the module lends it for the call.
        let message = unsafe { bytes(message) }?;
        if !enabled(level).ok_or(BAD_ARGUMENT)? {
            return Ok(());
        }
        if !identity.may_log() {
            return Err(LIMIT);
        }
        let line = text::printable(message, MAX_LINE_BYTES);
        let name = identity.name.as_str();
        match level {
            LOG_ERROR => tracing::error!(target: "module", module = name, "{line}"),
            LOG_WARN => tracing::warn!(target: "module", module = name, "{line}"),
            LOG_INFO => tracing::info!(target: "module", module = name, "{line}"),
            LOG_DEBUG => tracing::debug!(target: "module", module = name, "{line}"),
            _ => tracing::trace!(target: "module", module = name, "{line}"),
        }
        Ok(())
    })
}

pub(super) unsafe extern "C" fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

pub(super) unsafe extern "C" fn wall_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to `time` only.
    unsafe { libc::clock_gettime(clock, &mut time) };
    u64::try_from(time.tv_sec)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

pub(super) unsafe extern "C" fn metric_define(
    module: *mut Module,
    kind: u32,
    name: Slice,
    labels: *const Header,
    labels_len: u64,
    metric: *mut u64,
) -> u32 {
    answer(|| {
        let out = Out::required(metric)?;
        let identity = identity(module)?;
        // SAFETY: the module lends name and labels for the call.
        let (name, labels) = unsafe {
            let labels: Result<Vec<_>, u32> = array(labels, labels_len)?.iter().map(|l| field(l)).collect();
            (bytes(name)?, labels?)
        };
        let number = identity.series.define(&identity.metrics, &identity.name, kind, name, &labels)?;
        // SAFETY: the module's place, checked above.
        unsafe { out.write(number) };
        Ok(())
    })
}

pub(super) unsafe extern "C" fn metric_add(module: *mut Module, metric: u64, delta: i64) -> u32 {
    answer(|| match identity(module)?.series.get(metric).ok_or(BAD_ARGUMENT)? {
        Series::Counter(counter) => {
            counter.add(u64::try_from(delta).map_err(|_| BAD_VALUE)?);
            Ok(())
        }
        Series::Gauge(gauge) => {
            gauge.add(delta);
            Ok(())
        }
        Series::Histogram(_) => Err(BAD_ARGUMENT),
    })
}

pub(super) unsafe extern "C" fn metric_set(module: *mut Module, metric: u64, level: i64) -> u32 {
    answer(|| match identity(module)?.series.get(metric).ok_or(BAD_ARGUMENT)? {
        Series::Gauge(gauge) => {
            gauge.set(level);
            Ok(())
        }
        Series::Counter(_) | Series::Histogram(_) => Err(BAD_ARGUMENT),
    })
}

pub(super) unsafe extern "C" fn metric_observe(module: *mut Module, metric: u64, value: f64) -> u32 {
    answer(|| match identity(module)?.series.get(metric).ok_or(BAD_ARGUMENT)? {
        Series::Histogram(histogram) => {
            histogram.observe(value);
            Ok(())
        }
        Series::Counter(_) | Series::Gauge(_) => Err(BAD_ARGUMENT),
    })
}
