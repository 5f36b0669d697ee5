//! A route's settings are replaced with its configuration.

use sidegate_sdk::prelude::*;

struct Keeper {
    max: Option<&'static u64>,
}

impl Filter for Keeper {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::AfterRoute);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        self.max = cx.route_config::<u64>();
        Ok(Status::Continue)
    }
}

fn main() {}
