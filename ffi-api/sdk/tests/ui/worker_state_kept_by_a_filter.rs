//! A filter borrows from its factory only: nothing says that worker state
//! outlives it.

use std::cell::Cell;

use sidegate_sdk::prelude::*;

struct Shared;

struct SharedFilter<'f> {
    count: Option<&'f Cell<u64>>,
}

impl FilterFactory for Shared {
    type Config = NoConfig;
    type Filter<'f> = SharedFilter<'f>;

    fn new(_: NoConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(Shared)
    }

    fn filter<'f>(&'f self, env: &FilterEnv<'_>) -> SharedFilter<'f> {
        SharedFilter { count: env.worker_state::<Cell<u64>>() }
    }
}

impl Filter for SharedFilter<'_> {
    const HOOKS: Hooks = Hooks::new();
}

fn main() {}
