//! Variables that filters share by name.

use std::collections::BTreeMap;

use sidegate_sdk::prelude::*;

/// Sets what `set` says and shows what `show` names, as `x-named-NAME` on the
/// request. What the response hook sees is on the response.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    #[serde(default)]
    set: BTreeMap<String, String>,
    #[serde(default)]
    show: Vec<String>,
}

pub struct ShareFilter<'f>(&'f Share);

impl FilterFactory for Share {
    type Config = Share;
    type Filter<'f> = ShareFilter<'f>;

    fn new(config: Share, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(config)
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> ShareFilter<'f> {
        ShareFilter(self)
    }
}

impl ShareFilter<'_> {
    fn shown(&self, stream: &Stream<'_>) -> Vec<(String, String)> {
        let show = |name: &String| (format!("x-named-{name}"), stream.named_str(name).unwrap_or("(none)").to_owned());
        self.0.show.iter().map(show).collect()
    }
}

impl Filter for ShareFilter<'_> {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute).response_headers();

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        for (name, value) in self.shown(cx) {
            cx.headers_mut().set(name, value)?;
        }
        for (name, value) in &self.0.set {
            cx.set_named(name, value)?;
        }
        Ok(Status::Continue)
    }

    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        for (name, value) in self.shown(cx) {
            cx.headers_mut().set(name, value)?;
        }
        Ok(Status::Continue)
    }
}
