//! Settings of a route, typed.

use std::time::Duration;

use sidegate_sdk::config;
use sidegate_sdk::prelude::*;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    name: String,
    #[serde(default)]
    limits: Vec<Limit>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    #[serde(with = "config::duration")]
    every: Duration,
}

/// The same settings are those of the filter where a route has none.
pub struct Route {
    default: Settings,
}

pub struct RouteFilter<'f>(&'f Route);

impl FilterFactory for Route {
    type Config = Settings;
    type Filter<'f> = RouteFilter<'f>;

    fn new(default: Settings, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(Route { default })
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> RouteFilter<'f> {
        RouteFilter(self)
    }

    fn route_config(&self, config: ConfigValue) -> Result<RouteObject, ConfigError> {
        RouteObject::parse::<Settings>(config)
    }
}

impl Filter for RouteFilter<'_> {
    const HOOKS: Hooks =
        Hooks::new().request_headers(Phase::BeforeRoute).request_headers(Phase::AfterRoute).response_headers();

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let settings = cx.route_config::<Settings>();
        let name = settings.unwrap_or(&self.0.default).name.as_str();
        let field = if cx.phase() == Phase::BeforeRoute { "x-before" } else { "x-after" };
        cx.headers_mut().set(field, name)?;
        if let Some(limit) = settings.and_then(|settings| settings.limits.first()) {
            cx.headers_mut().set("x-every", limit.every.as_millis().to_string())?;
        }
        Ok(Status::Continue)
    }

    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        let name = cx.route_config::<Settings>().unwrap_or(&self.0.default).name.as_str();
        cx.headers_mut().set("x-settings", name)?;
        Ok(Status::Continue)
    }
}
