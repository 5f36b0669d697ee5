//! Logs how each stream ended.

use sidegate_sdk::prelude::*;

pub struct Account {
    completed: Counter,
    destroyed: Counter,
}

pub struct AccountFilter<'f> {
    factory: &'f Account,
    completions: u32,
}

impl FilterFactory for Account {
    type Config = NoConfig;
    type Filter<'f> = AccountFilter<'f>;

    fn new(_: NoConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        let completed = env.counter("account_completed_total", &[])?;
        Ok(Account { completed, destroyed: env.counter("account_destroyed_total", &[])? })
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> AccountFilter<'f> {
        AccountFilter { factory: self, completions: 0 }
    }
}

impl Filter for AccountFilter<'_> {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute).complete();

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        match cx.headers().get_str("x-end") {
            Some("fault") => Err(Fault::new("asked to")),
            Some("terminate") => Ok(Status::Terminate),
            Some("pending") => {
                // Never resumed, so the stream ends in its wait.
                std::mem::forget(cx.resume_handle()?);
                Ok(Status::Pending)
            }
            Some("reply") => cx.reply(Reply::text(418, "short")),
            _ => Ok(Status::Continue),
        }
    }

    fn on_complete(&mut self, cx: &mut Complete<'_>) {
        self.completions += 1;
        self.factory.completed.inc();
        let times = match (cx.upstream_duration(), cx.duration()) {
            (Some(upstream), all) if upstream <= all => "upstream first",
            (Some(_), _) => "upstream later",
            (None, all) if all.is_zero() => "none",
            (None, _) => "all",
        };
        sidegate_sdk::info!(
            cx,
            "end of {}: status {:?} by {:?} flags {} received {} sent {} times {times} completions {} host {}",
            cx.path().unwrap_or("-"),
            cx.status(),
            cx.reset_by(),
            u8::from(cx.response_flags() != 0),
            cx.bytes_received(),
            cx.bytes_sent(),
            self.completions,
            cx.variable_str(Variable::UpstreamHost).is_some(),
        );
    }
}

impl Drop for AccountFilter<'_> {
    fn drop(&mut self) {
        self.factory.destroyed.inc();
    }
}
