//! Taking a filter out of service after too many faults, and back.
//!
//! ```text
//!           too many faults            `for` is over: one stream tries
//! Serving ─────────────────▶ Out ─────────────────────────────────────▶ Trying
//!    ▲                        ▲                                            │ it ended,
//!    │ `within` is over       │ one fault                                  │ or runs for
//!    │                        ├────────────────────────────────────────────┤ `within`
//!    └───────────────────── OnTrial ◀──────────────────────────────────────┘
//! ```
//!
//! A stream that begins reads one word; all else is for filters that are, or
//! lately were, in quarantine. No state has a lock.

mod faults;
mod stand_in;
mod state;
#[cfg(test)]
mod tests;
mod trial;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sidegate_api::{Counter, FaultKind, Gauge, Quarantine, QuarantineAction, QuarantinePhase as Phase, StreamFilter};

use self::faults::RecentFaults;
use self::stand_in::{Bypass, Closed};
use self::state::State;
pub(crate) use self::trial::Trial;

/// One factory's faults, and whether there were too many.
#[derive(Debug)]
pub(crate) struct QuarantineState {
    rule: Quarantine,
    /// Times count from here.
    start: Instant,
    /// A [`State`].
    word: AtomicU64,
    recent: RecentFaults,
    shown: Shown,
}

/// Where it is shown.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// Filters that are out.
    pub(crate) out: Option<Gauge>,
    /// Times that one was taken out.
    pub(crate) times: Option<Counter>,
}

/// What a stream that begins gets.
pub(crate) enum Admission {
    /// The filter.
    Filter,
    /// The filter, for all streams to see how it does.
    Trial(TrialId),
    /// Something in its place.
    StandIn(Box<dyn StreamFilter>),
}

/// Which trial of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrialId(u64);

/// What a fault came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consequence {
    None,
    /// It was one too many.
    Out,
    /// It came after a way back.
    OutAgain,
}

impl QuarantineState {
    pub(crate) fn new(rule: Quarantine, shown: Shown) -> Self {
        let recent = RecentFaults::new(rule.faults, rule.within);
        QuarantineState { rule, start: Instant::now(), word: AtomicU64::new(State::SERVING), recent, shown }
    }

    /// What a stream that begins gets.
    #[inline]
    pub(crate) fn admit(&self) -> Admission {
        match self.word.load(Ordering::Relaxed) {
            State::SERVING => Admission::Filter,
            word => self.admit_at(State::of(word), self.now()),
        }
    }

    #[cold]
    fn admit_at(&self, state: State, now: u64) -> Admission {
        match state {
            State::Serving => Admission::Filter,
            State::Out { until } if now >= until && self.goes(state, State::Trying { since: now }) => {
                Admission::Trial(TrialId(now))
            }
            // It had time enough to fail.
            State::Trying { since } if now.saturating_sub(since) >= self.within() => {
                self.goes(state, State::OnTrial { until: now.saturating_add(self.within()) });
                Admission::Filter
            }
            State::Out { .. } | State::Trying { .. } => Admission::StandIn(self.stand_in()),
            State::OnTrial { until } => {
                if now >= until {
                    self.recent.forget(now);
                    self.goes(state, State::Serving);
                }
                Admission::Filter
            }
        }
    }

    fn stand_in(&self) -> Box<dyn StreamFilter> {
        match self.rule.then {
            QuarantineAction::Closed => Box::new(Closed),
            QuarantineAction::Bypass => Box::new(Bypass),
        }
    }

    /// Counts a fault. A filter that wanted to answer does not come nearer to
    /// being bypassed by it.
    pub(crate) fn count(&self, kind: FaultKind) -> Consequence {
        self.count_at(kind, self.now())
    }

    fn count_at(&self, kind: FaultKind, now: u64) -> Consequence {
        if (kind, self.rule.then) == (FaultKind::Closed, QuarantineAction::Bypass) {
            return Consequence::None;
        }
        let until = self.rule.lasts.map_or(State::NEVER, |lasts| now.saturating_add(nanos(lasts)));
        let state = self.state();
        let (came, consequence) = match state {
            State::Serving => (self.recent.count(now), Consequence::Out),
            State::OnTrial { until } => (now < until || self.recent.count(now), Consequence::OutAgain),
            State::Trying { .. } => (true, Consequence::OutAgain),
            // By a stream that began before: it has come to what it comes to.
            State::Out { .. } => (false, Consequence::None),
        };
        if came && self.goes(state, State::Out { until }) {
            self.recent.forget(now);
            if let Some(times) = &self.shown.times {
                times.inc();
            }
            return consequence;
        }
        Consequence::None
    }

    /// The stream that tried has ended; if it had failed, the trial would be
    /// another one by now. True if that ended the quarantine.
    pub(crate) fn tried(&self, trial: TrialId) -> bool {
        self.tried_at(trial, self.now())
    }

    fn tried_at(&self, TrialId(since): TrialId, now: u64) -> bool {
        self.goes(State::Trying { since }, State::OnTrial { until: now.saturating_add(self.within()) })
    }

    /// Back in service, whatever was.
    pub(crate) fn clear(&self) {
        let state = self.state();
        self.recent.forget(self.now());
        if state != State::Serving {
            self.goes(state, State::Serving);
        }
    }

    /// How it is, and how long until that changes by itself.
    pub(crate) fn condition(&self) -> (Phase, Option<Duration>) {
        let now = self.now();
        let left = |until: u64| Some(Duration::from_nanos(until.saturating_sub(now)));
        match self.state() {
            State::OnTrial { until } if now < until => (Phase::OnTrial, left(until)),
            State::Serving | State::OnTrial { .. } => (Phase::Serving, None),
            State::Out { until } => (Phase::Out, left(until).filter(|_| until != State::NEVER)),
            State::Trying { since } => (Phase::Trying, left(since.saturating_add(self.within()))),
        }
    }

    fn state(&self) -> State {
        State::of(self.word.load(Ordering::Relaxed))
    }

    /// Goes on from `from`, unless somebody else was faster.
    fn goes(&self, from: State, to: State) -> bool {
        let gone = self.word.compare_exchange(from.word(), to.word(), Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if let (true, Some(out)) = (gone, &self.shown.out) {
            out.add(i64::from(to.is_out()) - i64::from(from.is_out()));
        }
        gone
    }

    /// Nanoseconds since the start.
    fn now(&self) -> u64 {
        nanos(self.start.elapsed())
    }

    fn within(&self) -> u64 {
        nanos(self.rule.within)
    }
}

impl Drop for QuarantineState {
    fn drop(&mut self) {
        if let (true, Some(out)) = (self.state().is_out(), &self.shown.out) {
            out.add(-1);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
