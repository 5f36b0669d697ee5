//! A clock for what is measured at every call: reading it is one instruction
//! where the processor counts at a steady pace, and a system call's fast path
//! elsewhere.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The process's clock. A copy of its own for each that reads it often.
#[derive(Debug, Clone, Copy)]
pub struct Ticks {
    source: Source,
    per_second: f64,
}

/// A moment, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The processor's own count.
    Counter,
    /// Nanoseconds of the system's clock.
    System,
}

/// So long the pace is measured, once in a process.
const CALIBRATION: Duration = Duration::from_millis(2);

impl Ticks {
    /// The clock. The first call in a process takes a few milliseconds.
    pub fn get() -> Ticks {
        static TICKS: OnceLock<Ticks> = OnceLock::new();
        *TICKS.get_or_init(|| match counter::is_steady() {
            true => Ticks::measured(),
            false => Ticks { source: Source::System, per_second: 1e9 },
        })
    }

    fn measured() -> Ticks {
        let (start, first) = both();
        std::thread::sleep(CALIBRATION);
        let (end, last) = both();
        let per_second = last.saturating_sub(first) as f64 / (end - start).as_secs_f64();
        match per_second.is_normal() {
            true => Ticks { source: Source::Counter, per_second },
            // A count that stands still is none.
            false => Ticks { source: Source::System, per_second: 1e9 },
        }
    }

    /// Now.
    #[inline]
    pub fn now(&self) -> Tick {
        match self.source {
            Source::Counter => Tick(counter::read()),
            Source::System => Tick(system()),
        }
    }

    /// Ticks since `then`; 0 if another processor's count is behind.
    #[inline]
    pub fn since(&self, then: Tick) -> u64 {
        self.now().0.saturating_sub(then.0)
    }

    /// So many ticks, as time.
    pub fn duration(&self, ticks: u64) -> Duration {
        Duration::try_from_secs_f64(ticks as f64 / self.per_second).unwrap_or(Duration::MAX)
    }

    /// So much time, in ticks.
    pub fn count(&self, duration: Duration) -> u64 {
        // Float-to-int casts saturate.
        (duration.as_secs_f64() * self.per_second) as u64
    }
}

/// One moment on both clocks, from the closest of some tries.
fn both() -> (Instant, u64) {
    let read = |_| {
        let (before, now, after) = (counter::read(), Instant::now(), counter::read());
        (after.wrapping_sub(before), now, before)
    };
    let closest = (0..8).map(read).min_by_key(|(gap, ..)| *gap);
    closest.map_or_else(|| (Instant::now(), counter::read()), |(_, now, count)| (now, count))
}

#[cold]
#[inline(never)]
fn system() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(target_arch = "x86_64")]
mod counter {
    use std::arch::x86_64::{__cpuid, _rdtsc};

    /// The leaf of power management, and its bit for a count whose pace depends
    /// on nothing.
    const POWER: u32 = 0x8000_0007;
    const INVARIANT: u32 = 1 << 8;

    #[allow(unused_unsafe, reason = "newer compilers know that the instruction is harmless")]
    pub(super) fn is_steady() -> bool {
        // SAFETY: every x86-64 processor has the instruction.
        unsafe { __cpuid(POWER & 0x8000_0000).eax >= POWER && __cpuid(POWER).edx & INVARIANT != 0 }
    }

    #[inline]
    pub(super) fn read() -> u64 {
        // SAFETY: every x86-64 processor has the instruction.
        unsafe { _rdtsc() }
    }
}

#[cfg(target_arch = "aarch64")]
mod counter {
    /// The architecture has it so.
    pub(super) fn is_steady() -> bool {
        true
    }

    #[inline]
    pub(super) fn read() -> u64 {
        let count: u64;
        // SAFETY: reads a register that Linux lets processes read.
        unsafe { std::arch::asm!("mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack, preserves_flags)) };
        count
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod counter {
    pub(super) fn is_steady() -> bool {
        false
    }

    pub(super) fn read() -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Within a few per cent of the system's clock, whatever the source: what
    /// the test is kept from running for is on both.
    #[test]
    fn both_sources_measure_time() {
        for ticks in [Ticks::get(), Ticks::measured(), Ticks { source: Source::System, per_second: 1e9 }] {
            let (start, first) = (Instant::now(), ticks.now());
            std::thread::sleep(Duration::from_millis(20));
            let measured = ticks.duration(ticks.since(first));
            let elapsed = start.elapsed();
            assert!(
                measured >= Duration::from_millis(15) && measured <= elapsed * 2,
                "{ticks:?} {measured:?} {elapsed:?}"
            );
            assert!(ticks.count(measured).abs_diff(ticks.count(Duration::ZERO)) > 0);
        }
    }

    #[test]
    fn ticks_and_time_are_turned_into_each_other() {
        let ticks = Ticks { source: Source::System, per_second: 2e9 };
        assert_eq!(
            (ticks.count(Duration::from_millis(10)), ticks.duration(20_000_000)),
            (20_000_000, Duration::from_millis(10))
        );
        assert_eq!(ticks.count(Duration::MAX), u64::MAX);
        let ahead = Tick(u64::MAX);
        assert_eq!(ticks.since(ahead), 0, "no time has passed since what is yet to come");
    }
}
