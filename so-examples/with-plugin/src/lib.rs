//! Asks a plugin, a process of its own in whatever language, about each
//! request. The proxy runs it and carries the calls; this module says what is
//! asked and what the answer means.

use std::task::Poll;

use serde::Deserialize;
use sidegate_sdk::{config::HeaderName, prelude::*, PluginAnswer, PluginCall, PluginCallId};

#[cfg(test)]
mod tests;

/// The status by which MOSN's plugins refuse.
const DENIED: i32 = -1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithPlugin {
    /// Its name in `so_config.plugins`.
    plugin: String,
    /// Names of the headers that it is sent.
    #[serde(default)]
    send: Vec<String>,
    #[serde(default)]
    on_failure: OnFailure,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum OnFailure {
    #[default]
    Refuse,
    Allow,
}

impl FilterFactory for WithPlugin {
    type Config = WithPlugin;
    type Filter<'f> = WithPluginFilter<'f>;

    fn new(config: WithPlugin, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        env.needs_plugin("plugin", &config.plugin)?;
        if let Some(at) = config.send.iter().position(|name| HeaderName::new(name).is_none()) {
            return Err(ConfigError::new(format!("send[{at}]"), "expected a header name"));
        }
        Ok(config)
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> WithPluginFilter<'f> {
        WithPluginFilter { settings: self, call: None }
    }
}

pub struct WithPluginFilter<'f> {
    settings: &'f WithPlugin,
    call: Option<PluginCallId>,
}

impl Filter for WithPluginFilter<'_> {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let mut call = PluginCall::new(&self.settings.plugin).kind("request");
        for name in &self.settings.send {
            for value in cx.headers().get_all(name) {
                call = call.header(name, value.to_vec());
            }
        }
        match cx.call_plugin(&call) {
            Ok(id) => {
                self.call = Some(id);
                Ok(Status::Pending)
            }
            Err(HostError::Limit) => self.failed(cx, &"too many calls are in flight"),
            // Nothing that traffic can bring about.
            Err(error) => Err(error).or_fault(format_args!("plugin `{}`", self.settings.plugin)),
        }
    }

    fn on_resume(&mut self, cx: &mut Resumed<'_>) -> HookResult {
        let call = self.call.or_fault("nothing was asked")?;
        match cx.plugin_answer(call)? {
            Poll::Pending => Ok(Status::Pending),
            Poll::Ready(Ok(answer)) => obey(cx, &answer),
            Poll::Ready(Err(failure)) => self.failed(cx, &failure),
        }
    }
}

impl WithPluginFilter<'_> {
    fn failed(&self, cx: &mut Stream<'_>, why: &dyn std::fmt::Display) -> HookResult {
        sidegate_sdk::warn!(cx, "{}: {why}", self.settings.plugin);
        match self.settings.on_failure {
            OnFailure::Allow => Ok(Status::Continue),
            OnFailure::Refuse => cx.reply(Reply::text(503, "nobody could be asked\n")),
        }
    }
}

fn obey(cx: &mut Stream<'_>, answer: &PluginAnswer) -> HookResult {
    if answer.status == DENIED {
        return cx.reply(Reply::text(403, "refused\n"));
    }
    for (name, value) in &answer.headers {
        cx.request_mut().set(name, value).or_fault(format_args!("header `{name}` of the answer"))?;
    }
    Ok(Status::Continue)
}

sidegate_sdk::manifest!(include_str!("../manifest.json"));
sidegate_sdk::export!(WithPlugin);
