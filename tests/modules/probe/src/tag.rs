//! Shows which filters a stream passed, and in which order.

use sidegate_sdk::config::HeaderValue;
use sidegate_sdk::prelude::*;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    tag: HeaderValue,
}

pub struct Tag {
    tag: HeaderValue,
    seen: Counter,
}

pub struct TagFilter<'f>(&'f Tag);

impl FilterFactory for Tag {
    type Config = Config;
    type Filter<'f> = TagFilter<'f>;

    fn new(config: Config, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        let seen = env.counter("tag_requests_total", &[("tag", &config.tag)])?;
        Ok(Tag { tag: config.tag, seen })
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> TagFilter<'f> {
        TagFilter(self)
    }
}

impl Filter for TagFilter<'_> {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::AfterRoute).response_headers();

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        self.0.seen.inc();
        cx.headers_mut().add("x-tags", &self.0.tag)?;
        Ok(Status::Continue)
    }

    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        cx.headers_mut().add("x-tags", &self.0.tag)?;
        Ok(Status::Continue)
    }
}
