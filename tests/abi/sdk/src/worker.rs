use std::cell::Cell;

use sidegate_sdk::prelude::*;

pub struct Worker {
    seen: Counter,
    completed: Counter,
}

pub struct OfStream<'f> {
    counters: &'f Worker,
    nth: u32,
    head: String,
}

impl FilterFactory for Worker {
    type Config = NoConfig;
    type Filter<'f> = OfStream<'f>;

    fn new(_: NoConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(Worker { seen: env.counter("seen", &[])?, completed: env.counter("completed", &[])? })
    }

    fn filter<'f>(&'f self, env: &FilterEnv<'_>) -> OfStream<'f> {
        let count = env.worker_state::<Cell<u32>>();
        let nth = count.map_or(0, |count| count.replace(count.get() + 1) + 1);
        OfStream { counters: self, nth, head: String::new() }
    }

    fn route_config(&self, config: ConfigValue) -> Result<RouteObject, ConfigError> {
        let config = config.into_json();
        if config.is_null() {
            return Err(ConfigError::new("", "expected a value"));
        }
        Ok(RouteObject::new(config.to_string()))
    }

    fn worker_state(&self, _: u32) -> Option<WorkerObject> {
        Some(WorkerObject::new(Cell::new(0_u32)))
    }
}

impl Filter for OfStream<'_> {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::AfterRoute).response_headers().complete();

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        self.counters.seen.inc();
        self.head = format!("{} {}", cx.method().unwrap_or_default(), cx.path().unwrap_or_default());
        cx.set_named("conform", "shared")?;
        Ok(Status::Continue)
    }

    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        let status = cx.status().or_fault("there is no status")?;
        let named = cx.named("conform").or_fault("the variable is gone")?.to_owned();
        let route = cx.route_config::<String>().cloned();
        let mut headers = cx.headers_mut();
        headers.set("x-nth", self.nth.to_string())?;
        headers.set("x-saw", format!("{} {status}", self.head))?;
        headers.set("x-named", named)?;
        if let Some(route) = route {
            headers.set("x-route", route)?;
        }
        Ok(Status::Continue)
    }

    fn on_complete(&mut self, cx: &mut Complete<'_>) {
        if cx.status() == Some(200) && cx.reset_by() == ResetBy::Nobody {
            self.counters.completed.inc();
        }
    }
}
