//! Which filter wants what, worked out once per configuration so that a stream
//! only walks over hooks that exist.

use sidegate_api::{BodyDirection, BodyInterest, Interests, ReceiverPhase};

use sidegate_watch::Place;

use crate::FilterEntry;

/// The chain's hooks, by where they run. Numbers are places in the chain.
#[derive(Debug, Default)]
pub(crate) struct ChainPlan {
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

impl ChainPlan {
    pub(crate) fn new(filters: &[FilterEntry]) -> Self {
        let interests: Vec<Interests> = filters.iter().map(|f| f.factory.interests()).collect();
        let mut plan = ChainPlan::default();
        for phase in ReceiverPhase::ALL {
            for (index, wants) in interests.iter().enumerate() {
                let first = body_phase(wants) == phase;
                if wants.phases.has(phase) || (first && wants.request_body == BodyInterest::Whole) {
                    plan.receive[phase as usize - 1].push(index);
                }
                if first && (wants.request_body != BodyInterest::None || wants.request_trailers.wanted()) {
                    plan.request_body.push(index);
                    plan.busy[phase as usize - 1] = true;
                }
            }
            plan.busy[phase as usize - 1] |= !plan.receive(phase).is_empty();
        }
        for (index, wants) in interests.iter().enumerate() {
            let body = wants.response_body != BodyInterest::None || wants.response_trailers.wanted();
            if body || wants.response_headers.wanted() {
                plan.respond.push(index);
            }
            if body {
                plan.response_body.push(index);
            }
            if wants.complete.wanted() {
                plan.complete.push(index);
            }
        }
        plan.interests = interests;
        plan.places = filters.iter().map(place).collect();
        plan
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
