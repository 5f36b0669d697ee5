//! Filters of a tunnel, which no hook is called of any more: they wait for its
//! end, each with what belongs to it and to no other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::{
    Completion, FilterCx, FilterFault, RouteConfigSource, RouteFilterConfig, StreamFilter, StreamState, Tenure,
    WorkerIndex,
};
use sidegate_watch::{Hook, Place, enter};

use super::{discard, report};
use crate::FilterEntry;
use crate::view::Told;

/// In configured order.
#[derive(Default)]
pub(crate) struct WaitingFilters(Vec<Waiting>);

/// What a filter learns that the end it sees is not the tunnel's.
const DETAILS: &str = "generation_timeout";

struct Waiting {
    filter: Box<dyn StreamFilter>,
    entry: FilterEntry,
    place: &'static Place,
    route_config: RouteConfig,
    /// Dropped last: the worker's state goes with it.
    _told: Option<Rc<Told>>,
}

struct RouteConfig(Option<Arc<dyn RouteFilterConfig>>);

impl RouteConfigSource for RouteConfig {
    fn route_config(&self, _: usize) -> Option<&dyn RouteFilterConfig> {
        self.0.as_deref()
    }
}

impl WaitingFilters {
    pub(crate) fn add(
        &mut self,
        filter: Box<dyn StreamFilter>,
        entry: FilterEntry,
        place: &'static Place,
        told: Option<Rc<Told>>,
        route_config: Option<Arc<dyn RouteFilterConfig>>,
    ) {
        self.0.push(Waiting { filter, entry, place, route_config: RouteConfig(route_config), _told: told });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends it for filters that have waited for too long, and says when others
    /// may have.
    pub(crate) fn let_go(
        &mut self,
        stream: &mut StreamState,
        worker: WorkerIndex,
        completion: &Completion,
    ) -> Option<Duration> {
        let mut again: Option<Duration> = None;
        for waiting in std::mem::take(&mut self.0) {
            match waiting.entry.factory.tenure() {
                Tenure::Over => {
                    let details = std::mem::replace(&mut stream.info.details, DETAILS);
                    waiting.end(stream, worker, completion);
                    stream.info.details = details;
                    continue;
                }
                Tenure::For(left) => again = Some(again.map_or(left, |again| again.min(left))),
                Tenure::ToTheEnd => {}
            }
            self.0.push(waiting);
        }
        again
    }

    /// The tunnel has ended.
    pub(crate) fn finish(self, stream: &mut StreamState, worker: WorkerIndex, completion: &Completion) {
        for waiting in self.0 {
            waiting.end(stream, worker, completion);
        }
    }
}

impl Waiting {
    fn end(self, stream: &mut StreamState, worker: WorkerIndex, completion: &Completion) {
        let Waiting { mut filter, entry, place, route_config, _told } = self;
        let mark = enter(place, Hook::Complete);
        let mut cx = FilterCx::new(stream, &route_config, 0, worker, 0).after_end();
        if catch_unwind(AssertUnwindSafe(|| filter.on_complete(&mut cx, completion))).is_err() {
            report(&entry, &FilterFault::new("panicked in on_complete"));
        }
        drop(mark);
        discard(Some(filter), &entry, place);
    }
}
