//! A filter's borrow of its factory ends with the filter.

use std::sync::Mutex;

use sidegate_sdk::prelude::*;

static KEPT: Mutex<Vec<&'static Named>> = Mutex::new(Vec::new());

struct Named(String);

struct NamedFilter<'f>(&'f Named);

impl FilterFactory for Named {
    type Config = NoConfig;
    type Filter<'f> = NamedFilter<'f>;

    fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(Named("name".to_owned()))
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> NamedFilter<'f> {
        KEPT.lock().unwrap().push(self);
        NamedFilter(self)
    }
}

impl Filter for NamedFilter<'_> {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);

    fn on_request_headers(&mut self, _: &mut RequestHeaders<'_>) -> HookResult {
        KEPT.lock().unwrap().push(self.0);
        Ok(Status::Continue)
    }
}

fn main() {}
