//! Two filters in one module. `plan` finds out which plan a caller's key
//! belongs to and says so in the named variable `plan`; `paywall` lets only
//! some plans use some paths. Any other filter of the chain may read the
//! variable too.

#![forbid(unsafe_code)]

use std::collections::HashMap;

use serde::Deserialize;
use sidegate_sdk::config::HeaderName;
use sidegate_sdk::prelude::*;

/// The variable by which `plan` tells others; also what is forwarded.
const PLAN: &str = "plan";

/// `{"header": "x-api-key", "plans": {"paid": ["key-3"]}}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanConfig {
    /// Where the key is.
    header: HeaderName,
    /// Keys by plan.
    plans: HashMap<String, Vec<String>>,
}

struct Plan {
    header: HeaderName,
    plan_of: HashMap<Vec<u8>, String>,
    unknown: Counter,
}

struct PlanFilter<'f>(&'f Plan);

impl FilterFactory for Plan {
    type Config = PlanConfig;
    type Filter<'f> = PlanFilter<'f>;

    fn new(config: PlanConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        let mut plan_of = HashMap::new();
        for (plan, keys) in config.plans {
            for (place, key) in keys.into_iter().enumerate() {
                if let Some(other) = plan_of.insert(key.into_bytes(), plan.clone()) {
                    let path = format!("plans.{plan}[{place}]");
                    return Err(ConfigError::new(path, format_args!("this key belongs to plan `{other}` already")));
                }
            }
        }
        Ok(Plan { header: config.header, plan_of, unknown: env.counter("plan_unknown_keys_total", &[])? })
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> PlanFilter<'f> {
        PlanFilter(self)
    }
}

impl Filter for PlanFilter<'_> {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        // The upstream trusts this header, so a client must not send it.
        cx.headers_mut().remove("x-plan")?;
        let Some(key) = cx.headers().get(&self.0.header) else { return Ok(Status::Continue) };
        let Some(plan) = self.0.plan_of.get(key) else {
            self.0.unknown.inc();
            return cx.reply(Reply::text(401, "unknown key\n"));
        };
        cx.set_named(PLAN, plan)?;
        cx.headers_mut().set("x-plan", plan)?;
        Ok(Status::Continue)
    }
}

/// `{"paths": ["/reports"], "plans": ["paid"]}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Paywall {
    /// Prefixes of the paths that cost.
    paths: Vec<String>,
    /// Plans that have paid for them.
    plans: Vec<String>,
}

impl RequestFilter for Paywall {
    fn check(&self) -> Result<(), ConfigError> {
        match self.paths.iter().position(|path| !path.starts_with('/')) {
            Some(place) => Err(ConfigError::new(format!("paths[{place}]"), "expected a path that begins with `/`")),
            None => Ok(()),
        }
    }

    fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let path = cx.path().unwrap_or("/");
        if !self.paths.iter().any(|prefix| path.starts_with(prefix.as_str())) {
            return Ok(Status::Continue);
        }
        match cx.named_str(PLAN) {
            Some(plan) if self.plans.iter().any(|paid| paid == plan) => Ok(Status::Continue),
            Some(plan) => {
                let text = format!("not part of the plan {plan}\n");
                cx.reply(Reply::text(402, text))
            }
            None => cx.reply(Reply::text(401, "a key is needed\n")),
        }
    }
}

sidegate_sdk::manifest!(include_str!("../manifest.json"));
sidegate_sdk::export! {
    "plan" => Plan,
    "paywall" => Paywall,
}

#[cfg(test)]
mod tests;
