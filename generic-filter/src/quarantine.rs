//! Taking a filter out of service after too many faults.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use sidegate_api::{
    EndOfStream, FaultKind, FilterCx, Gauge, LocalReply, Quarantine, QuarantineAction, ReceiverPhase, Status,
    StreamFilter,
};

/// Counts one factory's faults and remembers that there were too many. It
/// lasts until the factory is built anew.
#[derive(Debug)]
pub(crate) struct QuarantineState {
    rule: Quarantine,
    recent: Mutex<VecDeque<Instant>>,
    tripped: AtomicBool,
    /// Filters in quarantine, for the metrics page.
    shown: Option<Gauge>,
}

impl QuarantineState {
    pub(crate) fn new(rule: Quarantine, shown: Option<Gauge>) -> Self {
        QuarantineState { rule, recent: Mutex::default(), tripped: AtomicBool::new(false), shown }
    }

    /// Counts a fault at `now`; true if this one trips it. A filter that
    /// wanted to answer does not come nearer to being bypassed by it.
    pub(crate) fn count(&self, kind: FaultKind, now: Instant) -> bool {
        if (kind, self.rule.then) == (FaultKind::Closed, QuarantineAction::Bypass) {
            return false;
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push_back(now);
        while recent.front().is_some_and(|&first| now.saturating_duration_since(first) > self.rule.within) {
            recent.pop_front();
        }
        let trips = recent.len() >= self.rule.faults.max(1) as usize;
        if trips {
            recent.clear();
        }
        let first = trips && !self.tripped.swap(true, Ordering::Relaxed);
        if let (true, Some(shown)) = (first, &self.shown) {
            shown.add(1);
        }
        first
    }

    /// What stands in for the filter, once it is in quarantine.
    pub(crate) fn stand_in(&self) -> Option<Box<dyn StreamFilter>> {
        if !self.tripped.load(Ordering::Relaxed) {
            return None;
        }
        Some(match self.rule.then {
            QuarantineAction::Closed => Box::new(Closed),
            QuarantineAction::Bypass => Box::new(Bypass),
        })
    }
}

impl Drop for QuarantineState {
    fn drop(&mut self) {
        if let (true, Some(shown)) = (*self.tripped.get_mut(), &self.shown) {
            shown.add(-1);
        }
    }
}

struct Bypass;

impl StreamFilter for Bypass {}

/// Refuses streams in whichever header hook comes first. It answers a request
/// once; its own answer passes the response hook unchanged.
struct Closed;

const DETAILS: &str = "filter_quarantined";

impl Closed {
    fn refuse(cx: &mut FilterCx<'_>) -> Status {
        match cx.reply(LocalReply::new(500, DETAILS)) {
            Ok(()) => Status::Stop,
            Err(_) => Status::Terminate,
        }
    }
}

impl StreamFilter for Closed {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, _: ReceiverPhase, _: EndOfStream) -> Status {
        Closed::refuse(cx)
    }

    fn on_request_body(&mut self, cx: &mut FilterCx<'_>, _: EndOfStream) -> Status {
        Closed::refuse(cx)
    }

    fn on_response_headers(&mut self, cx: &mut FilterCx<'_>, _: EndOfStream) -> Status {
        if cx.stream().response.status >= 500 { Status::Continue } else { Closed::refuse(cx) }
    }

    fn on_response_body(&mut self, _: &mut FilterCx<'_>, _: EndOfStream) -> Status {
        Status::Continue
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sidegate_api::Metrics;

    use super::*;

    #[test]
    fn only_faults_within_the_window_trip_it() {
        let rule =
            Quarantine { faults: 3, within: Duration::from_secs(10), then: QuarantineAction::Bypass, lasts: None };
        let gauge = Metrics::new(1).gauge("quarantined", &[]).unwrap();
        let state = QuarantineState::new(rule, Some(gauge));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..5 {
            assert!(!state.count(FaultKind::Closed, at(0)), "what fails closed is never bypassed");
        }
        for seconds in [0, 5, 11, 22, 33, 34] {
            assert!(!state.count(FaultKind::Policy, at(seconds)), "{seconds}");
            assert!(state.stand_in().is_none());
        }
        assert!(state.count(FaultKind::Policy, at(35)));
        assert!(state.stand_in().is_some());
        for _ in 0..5 {
            assert!(!state.count(FaultKind::Policy, at(36)), "it trips once");
        }
    }
}
