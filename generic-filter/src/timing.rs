//! How long a filter's hooks take.
//!
//! Every call is held against the bound for slow ones, which costs two reads of
//! a counter. One stream in about 64 is also put into histograms, and stands
//! there for the streams since the last such one, so that counts and sums are
//! those of all streams but for the last few.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sidegate_api::{CallTimes, Counter, HookStatus, Metrics};
use sidegate_watch::{Hook, Tick, Ticks};

/// The hooks that are measured; they follow each other as numbers.
const FIRST: Hook = Hook::CreateFilter;
const HOOKS: usize = Hook::Complete as usize - FIRST as usize + 1;
/// Of so many streams one is sampled, on the average.
const ONE_IN: u32 = 64;
/// A line about one hook's slow calls is not followed by another for so long.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// The times of one factory's hooks.
#[derive(Debug)]
pub(crate) struct HookTimes {
    module: String,
    filter: String,
    ticks: Ticks,
    /// In ticks.
    slow: u64,
    bound: Duration,
    start: Instant,
    hooks: [OfHook; HOOKS],
}

/// Those of one hook.
#[derive(Debug, Default)]
struct OfHook {
    times: Option<CallTimes>,
    slow: Option<Counter>,
    /// Nanoseconds of the longest call that was sampled or slow.
    longest: AtomicU64,
    /// Milliseconds since the start, and one more, at which the log was told.
    said: AtomicU64,
    /// Slow calls since then.
    unsaid: AtomicU64,
}

/// Who is measured, for labels and the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub(crate) module: &'a str,
    pub(crate) filter: &'a str,
}

/// How many streams a stream stands for: none if it is not sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight(u32);

impl HookTimes {
    /// For hooks that `has` says are there; slower ones than `bound` are told.
    pub(crate) fn new(metrics: &Metrics, whose: Whose<'_>, bound: Duration, has: impl Fn(Hook) -> bool) -> Self {
        let ticks = Ticks::get();
        let of_hook = |index| {
            let hook = hook_at(index).filter(|hook| has(*hook));
            hook.map_or_else(OfHook::default, |hook| OfHook::new(metrics, whose, hook))
        };
        let hooks = std::array::from_fn(of_hook);
        let (module, filter) = (whose.module.to_owned(), whose.filter.to_owned());
        HookTimes { module, filter, ticks, slow: ticks.count(bound), bound, start: Instant::now(), hooks }
    }

    /// A call begins.
    #[inline]
    pub(crate) fn begin(&self) -> Tick {
        self.ticks.now()
    }

    /// The call has returned.
    #[inline]
    pub(crate) fn end(&self, begun: Tick, hook: Hook, weight: Weight) {
        let took = self.ticks.since(begun);
        if weight.0 != 0 || took >= self.slow {
            self.note(took, hook, weight);
        }
    }

    #[cold]
    fn note(&self, ticks: u64, hook: Hook, weight: Weight) {
        let Some(of_hook) = (hook as usize).checked_sub(FIRST as usize).and_then(|index| self.hooks.get(index)) else {
            return;
        };
        let took = self.ticks.duration(ticks);
        of_hook.longest.fetch_max(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        if let (Some(times), 1..) = (&of_hook.times, weight.0) {
            times.observe(took, weight.0.into());
        }
        if ticks < self.slow {
            return;
        }
        if let Some(slow) = &of_hook.slow {
            slow.inc();
        }
        let others = of_hook.unsaid.fetch_add(1, Ordering::Relaxed);
        if !of_hook.may_say(self.start.elapsed()) {
            return;
        }
        of_hook.unsaid.store(0, Ordering::Relaxed);
        let (module, filter) = (self.module.as_str(), self.filter.as_str());
        let (hook, bound) = (name(hook), self.bound);
        let others = if others > 0 { format!("; so did {others} before it") } else { String::new() };
        tracing::warn!(
            target: "module",
            module,
            "filter `{filter}` held its worker up: {hook} took {took:.1?}, more than {bound:?} (`slow_hook`){others}"
        );
    }

    /// What is known of its hooks.
    pub(crate) fn status(&self) -> Vec<HookStatus> {
        let known = self.hooks.iter().enumerate().filter_map(|(index, of_hook)| {
            let (calls, total) = of_hook.times.as_ref()?.get();
            Some(HookStatus {
                filter: self.filter.clone(),
                hook: name(hook_at(index)?),
                calls,
                total,
                longest: Duration::from_nanos(of_hook.longest.load(Ordering::Relaxed)),
                slow: of_hook.slow.as_ref().map_or(0, Counter::get),
            })
        });
        known.collect()
    }
}

impl OfHook {
    fn new(metrics: &Metrics, Whose { module, filter }: Whose<'_>, hook: Hook) -> Self {
        let labels = [("module", module), ("filter", filter), ("hook", name(hook))];
        OfHook {
            times: metrics.call_times("sidegate_filter_hook_seconds", &labels).ok(),
            slow: metrics.counter("sidegate_filter_slow_hooks_total", &labels).ok(),
            ..OfHook::default()
        }
    }

    fn may_say(&self, now: Duration) -> bool {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let said = self.said.load(Ordering::Relaxed);
        let due = said == 0 || now.saturating_sub(said) >= SAY_EVERY.as_millis() as u64;
        due && self.said.compare_exchange(said, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// As the filter's table calls it: there is no other `destroy` here.
fn name(hook: Hook) -> &'static str {
    if hook == Hook::DestroyFilter { "destroy" } else { hook.name() }
}

fn hook_at(index: usize) -> Option<Hook> {
    Hook::from_number(FIRST as usize + index)
}

/// Chooses streams of one worker; only that worker writes.
#[derive(Debug)]
pub(crate) struct Sampler {
    /// Streams up to the next that is chosen, that one included.
    left: AtomicU32,
    /// As many as it was at first.
    gap: AtomicU32,
}

impl Sampler {
    /// The first stream is chosen, and stands for itself.
    pub(crate) fn new() -> Self {
        Sampler { left: AtomicU32::new(1), gap: AtomicU32::new(1) }
    }

    /// A stream begins.
    #[inline]
    pub(crate) fn next(&self) -> Weight {
        let left = self.left.load(Ordering::Relaxed);
        if left > 1 {
            self.left.store(left - 1, Ordering::Relaxed);
            return Weight(0);
        }
        self.choose()
    }

    #[cold]
    fn choose(&self) -> Weight {
        let weight = self.gap.load(Ordering::Relaxed);
        // At random, so that no pattern of the traffic is seen from one side
        // only.
        let gap = 1 + random() % (2 * ONE_IN - 1);
        self.gap.store(gap, Ordering::Relaxed);
        self.left.store(gap, Ordering::Relaxed);
        Weight(weight)
    }
}

/// Good enough to choose streams by (xorshift).
fn random() -> u32 {
    thread_local! {
        static SEED: Cell<u32> = Cell::new((std::process::id() ^ 0x9e37_79b9).max(1));
    }
    SEED.with(|seed| {
        let mut word = seed.get();
        word ^= word << 13;
        word ^= word >> 17;
        word ^= word << 5;
        seed.set(word);
        word
    })
}

#[cfg(test)]
mod tests {
    use sidegate_api::SeriesValue;

    use super::*;

    const WHOSE: Whose<'_> = Whose { module: "m", filter: "f" };

    #[test]
    fn hooks_are_found_by_their_numbers() {
        for index in 0..HOOKS {
            assert_eq!(hook_at(index).unwrap() as usize - FIRST as usize, index);
        }
    }

    #[test]
    fn each_stream_is_counted_once_by_one_that_stands_for_it() {
        let sampler = Sampler::new();
        let (mut total, mut chosen, mut last) = (0, 0, 0);
        for stream in 1..=100_000_u32 {
            let Weight(weight) = sampler.next();
            if weight > 0 {
                (total, chosen, last) = (total + weight, chosen + 1, stream);
            }
            assert!(stream > 1 || weight == 1, "the first one counts as itself");
        }
        assert_eq!(total, last);
        assert!(100_000 - last < 2 * ONE_IN);
        let expected = 100_000 / ONE_IN;
        assert!((expected * 4 / 5..expected * 5 / 4).contains(&chosen), "{chosen}");
    }

    #[test]
    fn sampled_calls_are_weighed_and_slow_ones_all_counted() {
        let metrics = Metrics::new(1);
        let has = |hook| matches!(hook, Hook::RequestHeaders | Hook::Complete);
        let times = HookTimes::new(&metrics, WHOSE, Duration::from_millis(10), has);
        let ticks = |micros| times.ticks.count(Duration::from_micros(micros));
        times.note(ticks(20), Hook::RequestHeaders, Weight(64));
        times.note(ticks(30_000), Hook::RequestHeaders, Weight(0));
        times.note(ticks(20_000), Hook::RequestHeaders, Weight(1));
        times.note(ticks(20_000), Hook::RequestBody, Weight(1));
        let status = times.status();
        assert_eq!(status.len(), 2, "{status:?}");
        let headers = &status[0];
        assert_eq!((headers.hook, headers.calls, headers.slow), ("on_request_headers", 65, 2));
        let near =
            |found: Duration, micros: u64| found.abs_diff(Duration::from_micros(micros)) < Duration::from_micros(20);
        assert!(near(headers.total, 64 * 20 + 20_000) && near(headers.longest, 30_000), "{headers:?}");
        assert_eq!((status[1].hook, status[1].calls), ("on_complete", 0));
        let series = metrics.read();
        let found = series.iter().filter(|series| &*series.name == "sidegate_filter_hook_seconds");
        let counts: Vec<u64> = found
            .map(|series| match series.value {
                SeriesValue::Histogram { count, .. } => count,
                _ => panic!("{series:?}"),
            })
            .collect();
        assert_eq!(counts, [65, 0]);
    }

    #[test]
    fn a_call_is_slow_if_it_takes_as_long() {
        let metrics = Metrics::new(1);
        let times = HookTimes::new(&metrics, WHOSE, Duration::from_millis(3), |_| true);
        let call = |pause| {
            let begun = times.begin();
            std::thread::sleep(pause);
            times.end(begun, Hook::ResponseBody, Weight(0));
        };
        call(Duration::from_millis(4));
        let slow = |hook: &str| times.status().into_iter().find(|status| status.hook == hook).unwrap().slow;
        assert_eq!((slow("on_response_body"), slow("on_request_body")), (1, 0));
    }

    #[test]
    fn the_log_is_told_now_and_then() {
        let of_hook = OfHook::default();
        let said: Vec<u64> = (0..31).filter(|second| of_hook.may_say(Duration::from_secs(*second))).collect();
        assert_eq!(said, [0, 10, 20, 30]);
    }
}
