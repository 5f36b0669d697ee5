//! `fault`: delays and refuses requests on purpose, to see what callers make
//! of it.

mod settings;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use sidegate_api::{
    BuildEnv, EndOfStream, FilterConfigError, FilterCx, FilterFault, HookSet, Interests, LocalReply, ReceiverPhase,
    RegexBudget, RouteFilterConfig, Status, StreamFilter, StreamFilterFactory, WorkerIndex,
};

use crate::builtin::{Definition, in_force, route_settings};
use crate::chance::Dice;
use crate::settings::{Object, Table};
use settings::{FAULT, Settings};

/// `type: fault`
pub(crate) struct Fault;

impl Definition for Fault {
    type Settings = Settings;

    const TABLE: &'static Table = &FAULT;

    fn read(config: &Object<'_>, _env: &BuildEnv) -> Settings {
        Settings::read(config)
    }

    fn factory(settings: Settings, _name: &str, env: &BuildEnv) -> Arc<dyn StreamFilterFactory> {
        Arc::new(Factory(Arc::new(Shared { settings, dice: Dice::new(), regexes: env.regexes.clone() })))
    }
}

#[derive(Debug)]
struct Factory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    dice: Dice,
    /// For the settings of routes.
    regexes: RegexBudget,
}

struct Filter {
    shared: Arc<Shared>,
    /// A request that is routed again is not delayed again.
    injected: bool,
    /// What follows the delay.
    abort: Option<u16>,
}

impl StreamFilterFactory for Factory {
    fn interests(&self) -> Interests {
        Interests { phases: HookSet::phases(&[ReceiverPhase::AfterRoute]), ..Interests::default() }
    }

    fn create_filter(&self, _worker: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault> {
        Ok(Box::new(Filter { shared: self.0.clone(), injected: false, abort: None }))
    }

    fn create_route_config(&self, value: &serde_json::Value) -> Result<Arc<dyn RouteFilterConfig>, FilterConfigError> {
        route_settings(value, &FAULT, &self.0.regexes, Settings::read)
    }
}

impl StreamFilter for Filter {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, _phase: ReceiverPhase, _end: EndOfStream) -> Status {
        let settings = in_force(cx, &self.shared.settings);
        if self.injected || !settings.applies_to(cx.stream()) {
            return Status::Continue;
        }
        self.injected = true;
        let delay = settings.delay(&self.shared.dice);
        self.abort = settings.abort(&self.shared.dice);
        match delay {
            Some(delay) => {
                cx.wake_after(delay);
                Status::Pending
            }
            None => self.go_on(cx),
        }
    }

    fn on_resume(&mut self, cx: &mut FilterCx<'_>) -> Status {
        self.go_on(cx)
    }
}

impl Filter {
    fn go_on(&self, cx: &mut FilterCx<'_>) -> Status {
        let Some(status) = self.abort else { return Status::Continue };
        match cx.reply(LocalReply::text(status, "fault_injected", "fault injected\n")) {
            Ok(()) => Status::Stop,
            Err(error) => Status::Fault(FilterFault::new(error.to_string())),
        }
    }
}
