//! All workers use one factory at the same time.

use std::cell::Cell;

use sidegate_sdk::prelude::*;

struct Counting {
    seen: Cell<u64>,
}

struct CountingFilter<'f>(&'f Counting);

impl FilterFactory for Counting {
    type Config = NoConfig;
    type Filter<'f> = CountingFilter<'f>;

    fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(Counting { seen: Cell::new(0) })
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> CountingFilter<'f> {
        CountingFilter(self)
    }
}

impl Filter for CountingFilter<'_> {
    const HOOKS: Hooks = Hooks::new();
}

fn main() {}
