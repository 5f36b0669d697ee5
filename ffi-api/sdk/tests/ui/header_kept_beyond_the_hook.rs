//! What the host lends is gone when the hook returns.

use sidegate_sdk::prelude::*;

struct Keeper {
    user: &'static [u8],
}

impl Filter for Keeper {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        self.user = cx.headers().get("user").unwrap_or_default();
        Ok(Status::Continue)
    }
}

fn main() {}
