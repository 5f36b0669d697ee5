//! Which filter wants what, worked out once per configuration so that a stream
//! only walks over hooks that exist.

use sidegate_api::{BodyDirection, BodyInterest, Interests, ReceiverPhase};
use sidegate_watch::Place;

use crate::FilterEntry;

/// The chain's hooks, by where they run. Numbers are places in the chain.
#[derive(Debug, Default)]
pub(crate) struct HookTable {
    pub(crate) interests: Vec<Interests>,
    /// What each filter is called where a thread hangs or crashes in it.
    pub(crate) places: Vec<&'static Place>,
    /// Filters with something to do in each receiver phase: a header hook, or
    /// a whole body to wait for.
    receive: [Vec<usize>; 3],
    /// Whether a phase has anything to do for any stream: most have not.
    busy: [bool; 3],
    /// Filters that see the request body or trailers, in the order of their
    /// first phases.
    pub(crate) request_body: Vec<usize>,
    /// Filters that see anything of a response, in configured order.
    pub(crate) respond: Vec<usize>,
    /// Those of `respond` that see the body or trailers.
    pub(crate) response_body: Vec<usize>,
    /// Filters that want `on_complete`.
    pub(crate) complete: Vec<usize>,
}

impl HookTable {
    pub(crate) fn new(filters: &[FilterEntry]) -> Self {
        let interests: Vec<Interests> = filters.iter().map(|f| f.factory.interests()).collect();
        let mut hooks = HookTable::default();
        for phase in ReceiverPhase::ALL {
            for (index, wants) in interests.iter().enumerate() {
                let first = body_phase(wants) == phase;
                if wants.phases.has(phase) || (first && wants.request_body == BodyInterest::Whole) {
                    hooks.receive[phase as usize - 1].push(index);
                }
                if first && (wants.request_body != BodyInterest::None || wants.request_trailers.wanted()) {
                    hooks.request_body.push(index);
                    hooks.busy[phase as usize - 1] = true;
                }
            }
            hooks.busy[phase as usize - 1] |= !hooks.receive(phase).is_empty();
        }
        for (index, wants) in interests.iter().enumerate() {
            let body = wants.response_body != BodyInterest::None || wants.response_trailers.wanted();
            if body || wants.response_headers.wanted() {
                hooks.respond.push(index);
            }
            if body {
                hooks.response_body.push(index);
            }
            if wants.complete.wanted() {
                hooks.complete.push(index);
            }
        }
        hooks.interests = interests;
        hooks.places = filters.iter().map(place).collect();
        hooks
    }

    /// Whether a phase has anything to do. Asked before a call that would find
    /// out the same at the cost of a future.
    #[inline]
    pub(crate) fn is_busy(&self, phase: ReceiverPhase) -> bool {
        self.busy[phase as usize - 1]
    }

    pub(crate) fn receive(&self, phase: ReceiverPhase) -> &[usize] {
        &self.receive[phase as usize - 1]
    }

    /// The phase in which the filter's body hooks stand.
    pub(crate) fn body_phase(&self, index: usize) -> ReceiverPhase {
        body_phase(&self.interests[index])
    }

    /// Filters that see the body or trailers of `direction`, in order, and how.
    pub(crate) fn body(&self, direction: BodyDirection) -> impl Iterator<Item = (usize, BodyInterest)> + '_ {
        let order = match direction {
            BodyDirection::Request => &self.request_body,
            BodyDirection::Response => &self.response_body,
        };
        order.iter().map(move |&index| {
            let wants = &self.interests[index];
            (index, if direction == BodyDirection::Request { wants.request_body } else { wants.response_body })
        })
    }
}

/// The place that calls into a filter are marked with.
pub(crate) fn place(filter: &FilterEntry) -> &'static Place {
    match filter.factory.module() {
        Some(module) => Place::of_module(&module.name, &filter.name, &module.sha256),
        None => Place::built_in(&filter.name),
    }
}

fn body_phase(wants: &Interests) -> ReceiverPhase {
    wants.phases.first_phase().unwrap_or(ReceiverPhase::BeforeRoute)
}
