//! A filter cannot keep its stream.

use sidegate_sdk::prelude::*;

struct Keeper<'f> {
    stream: Option<&'f mut Stream<'f>>,
}

impl<'f> Filter for Keeper<'f> {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        self.stream = Some(cx);
        Ok(Status::Continue)
    }
}

fn main() {}
