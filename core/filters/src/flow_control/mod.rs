//! `flowControlFilter`: bounds how many requests of a resource pass, by
//! Sentinel's rules.

mod resource;
mod rules;
mod settings;
mod shaping;
mod window;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use sidegate_api::{
    BuildEnv, EndOfStream, FilterCx, FilterFault, HookSet, Interests, LocalReply, ReceiverPhase, Status, StreamFilter,
    StreamFilterFactory, WorkerIndex,
};

use crate::builtin::Definition;
use crate::settings::{Object, Table};
use rules::{Passage, Rules, Verdict};
use settings::{FLOW_CONTROL, Settings};

/// `type: flowControlFilter`
pub(crate) struct FlowControl;

impl Definition for FlowControl {
    type Settings = Settings;

    const TABLE: &'static Table = &FLOW_CONTROL;

    fn read(config: &Object<'_>, _env: &BuildEnv) -> Settings {
        Settings::read(config)
    }

    fn factory(settings: Settings, name: &str, env: &BuildEnv) -> Arc<dyn StreamFilterFactory> {
        let rules = settings.rules.iter().map(|rule| {
            let labels = [("filter", name), ("resource", &*rule.resource)];
            // Without room in the store of metrics it is refused uncounted.
            rule.start(env.metrics.counter("sidegate_flow_control_refused_total", &labels).ok())
        });
        let rules = Rules::new(rules.collect());
        Arc::new(Factory(Arc::new(Shared { settings, rules, start: Instant::now() })))
    }
}

#[derive(Debug)]
struct Factory(Arc<Shared>);

struct Shared {
    settings: Settings,
    rules: Arc<Rules>,
    /// From when on time counts.
    start: Instant,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

struct Filter {
    shared: Arc<Shared>,
    /// A request that is routed again is not judged again.
    was_judged: bool,
    /// Held until the stream ends, however it does.
    passage: Option<Passage>,
}

impl StreamFilterFactory for Factory {
    fn interests(&self) -> Interests {
        let is_on = self.0.settings.is_on && !self.0.settings.rules.is_empty();
        let phases: &[_] = if is_on { &[ReceiverPhase::AfterRoute] } else { &[] };
        // A tunnel lets go at once of filters that do not wait for its end.
        let complete = is_on && self.0.rules.count_in_progress();
        Interests { phases: HookSet::phases(phases), complete: complete.into(), ..Interests::default() }
    }

    fn create_filter(&self, _worker: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault> {
        Ok(Box::new(Filter { shared: self.0.clone(), was_judged: false, passage: None }))
    }
}

impl StreamFilter for Filter {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, _phase: ReceiverPhase, _end: EndOfStream) -> Status {
        if std::mem::replace(&mut self.was_judged, true) {
            return Status::Continue;
        }
        let resource = self.shared.settings.resource.of(cx);
        self.passage = resource.and_then(|resource| self.shared.rules.enter(&resource));
        self.go_on(cx)
    }

    fn on_resume(&mut self, cx: &mut FilterCx<'_>) -> Status {
        self.go_on(cx)
    }
}

impl Filter {
    fn go_on(&mut self, cx: &mut FilterCx<'_>) -> Status {
        let Some(passage) = &mut self.passage else { return Status::Continue };
        // 584 years of nanoseconds fit.
        let now = self.shared.start.elapsed().as_nanos() as u64;
        match passage.go_on(now) {
            Verdict::Pass => Status::Continue,
            Verdict::Wait(wait) => {
                cx.wake_after(wait);
                Status::Pending
            }
            Verdict::Refused => self.refuse(cx),
        }
    }

    #[cold]
    fn refuse(&mut self, cx: &mut FilterCx<'_>) -> Status {
        self.passage = None;
        let Settings { status, body, .. } = &self.shared.settings;
        match cx.reply(LocalReply::text(*status, "flow_control", body)) {
            Ok(()) => Status::Stop,
            // The response has begun: all that is left is to end the stream.
            Err(_) => Status::Terminate,
        }
    }
}
