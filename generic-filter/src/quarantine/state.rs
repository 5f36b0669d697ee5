//! The states of a quarantine, each in one word.

/// Times are nanoseconds since the quarantine's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// In service.
    Serving,
    /// Out of service; from `until` on a stream tries it.
    Out { until: u64 },
    /// One stream tries it, others do without.
    Trying { since: u64 },
    /// In service, and out again with the first fault before `until`.
    OnTrial { until: u64 },
}

const KIND_BITS: u32 = 2;
const OUT: u64 = 1;
const TRYING: u64 = 2;
const ON_TRIAL: u64 = 3;

impl State {
    pub(super) const SERVING: u64 = 0;
    /// A time that does not come: 146 years.
    pub(super) const NEVER: u64 = u64::MAX >> KIND_BITS;

    pub(super) fn of(word: u64) -> State {
        let time = word >> KIND_BITS;
        match word & ((1 << KIND_BITS) - 1) {
            OUT => State::Out { until: time },
            TRYING => State::Trying { since: time },
            ON_TRIAL => State::OnTrial { until: time },
            _ => State::Serving,
        }
    }

    pub(super) fn word(self) -> u64 {
        let (time, kind) = match self {
            State::Serving => return Self::SERVING,
            State::Out { until } => (until, OUT),
            State::Trying { since } => (since, TRYING),
            State::OnTrial { until } => (until, ON_TRIAL),
        };
        time.min(Self::NEVER) << KIND_BITS | kind
    }

    /// Whether streams do without the filter.
    pub(super) fn is_out(self) -> bool {
        matches!(self, State::Out { .. } | State::Trying { .. })
    }
}
