//! What is kept an eye on while a factory's filters work.

use std::time::Duration;

use sidegate_abi::FilterTable;
use sidegate_api::{BodyInterest, Interests, Metrics, ModuleSpec};
use sidegate_watch::Hook;

use crate::quarantine::{QuarantineState, Shown};
use crate::timing::{HookTimes, Whose};

/// As the configuration wants it for one filter of a module.
#[derive(Debug)]
pub(crate) struct Oversight {
    pub(crate) quarantine: Option<QuarantineState>,
    pub(crate) generation_timeout: Option<Duration>,
    slow_hook: Duration,
    module: String,
    filter: String,
    metrics: Metrics,
}

impl Oversight {
    pub(crate) fn new(module: &ModuleSpec, filter: &str, metrics: &Metrics) -> Self {
        let labels = [("module", module.name.as_str()), ("filter", filter)];
        let quarantine = module.quarantine.map(|rule| {
            let shown = Shown {
                out: metrics.gauge("sidegate_module_filters_quarantined", &labels).ok(),
                times: metrics.counter("sidegate_module_quarantines_total", &labels).ok(),
            };
            QuarantineState::new(rule, shown)
        });
        let (module_name, metrics) = (module.name.clone(), metrics.clone());
        Oversight {
            quarantine,
            generation_timeout: module.generation_timeout,
            slow_hook: module.slow_hook,
            module: module_name,
            filter: filter.to_owned(),
            metrics,
        }
    }

    /// The times of the hooks that will be called.
    pub(crate) fn times(&self, table: &FilterTable, wants: &Interests) -> HookTimes {
        let has = |hook| match hook {
            Hook::RequestHeaders => wants.phases.wanted(),
            Hook::RequestBody => wants.request_body != BodyInterest::None,
            Hook::RequestTrailers => wants.request_trailers.wanted(),
            Hook::ResponseHeaders => wants.response_headers.wanted(),
            Hook::ResponseBody => wants.response_body != BodyInterest::None,
            Hook::ResponseTrailers => wants.response_trailers.wanted(),
            Hook::Resume => table.on_resume.is_some(),
            Hook::Complete => wants.complete.wanted(),
            _ => true,
        };
        let whose = Whose { module: &self.module, filter: &self.filter };
        HookTimes::new(&self.metrics, whose, self.slow_hook, has)
    }
}
