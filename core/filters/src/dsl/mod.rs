//! `dsl`: expressions that look at a stream and edit it, in MOSN's dialect of
//! CEL.

mod attribute;
mod calls;
mod clock;
mod compile;
mod function;
mod kind;
mod names;
mod node;
mod settings;
mod syntax;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use sidegate_api::{
    BuildEnv, Completion, Counter, EndOfStream, FilterCx, FilterFault, HookSet, Interests, ReceiverPhase, Status,
    StreamFilter, StreamFilterFactory, WorkerIndex,
};

use crate::builtin::Definition;
use crate::settings::{Object, Table};
use kind::Work;
use node::Refused;
use settings::{DSL, Place, Settings};

/// `type: dsl`
pub(crate) struct Dsl;

impl Definition for Dsl {
    type Settings = Settings;

    const TABLE: &'static Table = &DSL;

    fn read(config: &Object<'_>, env: &BuildEnv) -> Settings {
        Settings::read(config, &env.regexes)
    }

    fn factory(settings: Settings, name: &str, env: &BuildEnv) -> Arc<dyn StreamFilterFactory> {
        let failures = Place::ALL.map(|place| {
            settings.program(place)?;
            // Without room in the store of metrics they go uncounted.
            env.metrics.counter("sidegate_dsl_failures_total", &[("filter", name), ("expression", place.key())]).ok()
        });
        Arc::new(Factory(Arc::new(Shared { settings, failures })))
    }
}

#[derive(Debug)]
struct Factory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    /// Expressions that failed and edits that were refused, by place.
    failures: [Option<Counter>; 5],
}

struct Filter(Arc<Shared>);

impl StreamFilterFactory for Factory {
    fn interests(&self) -> Interests {
        let has = |place| self.0.settings.program(place).is_some();
        let phases = [
            (Place::BeforeRoute, ReceiverPhase::BeforeRoute),
            (Place::AfterRoute, ReceiverPhase::AfterRoute),
            (Place::AfterChooseHost, ReceiverPhase::AfterChooseHost),
        ];
        let phases: Vec<_> = phases.into_iter().filter(|(place, _)| has(*place)).map(|(_, phase)| phase).collect();
        Interests {
            phases: HookSet::phases(&phases),
            response_headers: has(Place::Response).into(),
            complete: has(Place::End).into(),
            ..Interests::default()
        }
    }

    fn create_filter(&self, _worker: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault> {
        Ok(Box::new(Filter(self.0.clone())))
    }
}

impl StreamFilter for Filter {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, phase: ReceiverPhase, _end: EndOfStream) -> Status {
        self.0.run(
            cx,
            match phase {
                ReceiverPhase::BeforeRoute => Place::BeforeRoute,
                ReceiverPhase::AfterRoute => Place::AfterRoute,
                ReceiverPhase::AfterChooseHost => Place::AfterChooseHost,
            },
        );
        Status::Continue
    }

    fn on_response_headers(&mut self, cx: &mut FilterCx<'_>, _end: EndOfStream) -> Status {
        self.0.run(cx, Place::Response);
        Status::Continue
    }

    fn on_complete(&mut self, cx: &mut FilterCx<'_>, _completion: &Completion) {
        self.0.run(cx, Place::End);
    }
}

impl Shared {
    /// What comes of it is nobody's, as in MOSN.
    fn run(&self, cx: &mut FilterCx<'_>, place: Place) {
        let Some(program) = self.settings.program(place) else { return };
        let mut refused = Refused::default();
        let failed = program.run(cx, &Work::new(), &mut refused).is_err();
        let failures = u64::from(refused.0) + u64::from(failed);
        if let (1.., Some(Some(counter))) = (failures, self.failures.get(place as usize)) {
            counter.add(failures);
        }
    }
}
