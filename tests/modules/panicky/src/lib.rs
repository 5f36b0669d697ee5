//! Panics (`x-panic: HOOK`) or fails (`x-fail: HOOK`) in the hook that a
//! request names, and in the factory if the configuration says so. Counts the
//! filters that are alive in the gauge `panicky_alive`.

#![forbid(unsafe_code)]

use sidegate_sdk::prelude::*;

#[derive(serde::Deserialize)]
struct Config {
    /// Panic in the factory.
    #[serde(default)]
    panic: bool,
    /// Panic where the filter is made.
    #[serde(default)]
    panic_in_filter: bool,
}

struct Factory {
    config: Config,
    alive: Gauge,
    completed: Counter,
}

struct Panicky<'f> {
    factory: &'f Factory,
    panic_in: String,
    fail_in: String,
}

impl FilterFactory for Factory {
    type Config = Config;
    type Filter<'f> = Panicky<'f>;

    fn new(config: Config, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        assert!(!config.panic, "the configuration asked for it");
        let alive = env.gauge("panicky_alive", &[])?;
        let completed = env.counter("panicky_completed_total", &[])?;
        Ok(Factory { config, alive, completed })
    }

    fn filter<'f>(&'f self, _env: &FilterEnv<'_>) -> Panicky<'f> {
        assert!(!self.config.panic_in_filter, "the configuration asked for it");
        self.alive.add(1);
        Panicky { factory: self, panic_in: String::new(), fail_in: String::new() }
    }
}

impl Panicky<'_> {
    fn act(&self, hook: &str) -> HookResult {
        if self.panic_in == hook {
            panic!("asked to panic in {hook}");
        }
        if self.fail_in == hook {
            return Err(Fault::new(format!("asked to fail in {hook}")));
        }
        Ok(Status::Continue)
    }
}

impl Filter for Panicky<'_> {
    const HOOKS: Hooks = Hooks::new()
        .request_headers(Phase::BeforeRoute)
        .request_body(BodyMode::Stream)
        .response_headers()
        .response_body(BodyMode::Stream)
        .complete();

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let named = |name: &str| String::from_utf8_lossy(cx.headers().get(name).unwrap_or_default()).into_owned();
        (self.panic_in, self.fail_in) = (named("x-panic"), named("x-fail"));
        self.act("request_headers")
    }

    fn on_request_body(&mut self, _cx: &mut RequestBody<'_>) -> HookResult {
        self.act("request_body")
    }

    fn on_response_headers(&mut self, _cx: &mut ResponseHeaders<'_>) -> HookResult {
        self.act("response_headers")
    }

    fn on_response_body(&mut self, _cx: &mut ResponseBody<'_>) -> HookResult {
        self.act("response_body")
    }

    fn on_complete(&mut self, _cx: &mut Complete<'_>) {
        self.factory.completed.add(1);
        let _ = self.act("complete");
    }
}

impl Drop for Panicky<'_> {
    fn drop(&mut self) {
        self.factory.alive.add(-1);
        assert!(self.panic_in != "drop", "asked to panic in drop");
    }
}

sidegate_sdk::export!(Factory);
