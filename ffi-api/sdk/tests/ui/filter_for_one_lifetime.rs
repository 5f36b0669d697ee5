//! A filter works for every lifetime of its factory, so its hooks cannot
//! count on a `'static` one.

use sidegate_sdk::prelude::*;

struct Named(String);

struct NamedFilter<'f>(&'f Named);

impl FilterFactory for Named {
    type Config = NoConfig;
    type Filter<'f> = NamedFilter<'f>;

    fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(Named("name".to_owned()))
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> NamedFilter<'f> {
        NamedFilter(self)
    }
}

impl Filter for NamedFilter<'static> {
    const HOOKS: Hooks = Hooks::new();
}

fn main() {}
