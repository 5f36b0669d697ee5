//! Changes heads, bodies and trailers of both directions.

use sidegate_sdk::prelude::*;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    body: Mode,
}

#[derive(serde::Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    Stream,
    Whole,
}

pub struct Edit {
    mode: BodyMode,
}

#[derive(Default)]
pub struct EditFilter {
    chunks: u32,
}

impl FilterFactory for Edit {
    type Config = Config;
    type Filter<'f> = EditFilter;

    fn new(config: Config, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        let mode = if config.body == Mode::Whole { BodyMode::Whole } else { BodyMode::Stream };
        Ok(Edit { mode })
    }

    fn filter(&self, _: &FilterEnv<'_>) -> EditFilter {
        EditFilter::default()
    }

    fn hooks(&self) -> Hooks {
        EditFilter::HOOKS.request_body(self.mode).response_body(self.mode)
    }
}

/// Names of all fields, as the visitor shows them.
fn names(headers: sidegate_sdk::Headers<'_>) -> String {
    headers.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>().join(",")
}

impl Filter for EditFilter {
    const HOOKS: Hooks =
        Hooks::new().request_headers(Phase::BeforeRoute).request_trailers().response_headers().response_trailers();

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let seen = names(cx.headers());
        let same = cx.headers().get("host") == cx.variable(Variable::Authority);
        let multi: Vec<String> =
            cx.headers().get_all("x-multi").map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        let facts = [
            Variable::Method,
            Variable::Path,
            Variable::Query,
            Variable::Scheme,
            Variable::Protocol,
            Variable::ListenerName,
            Variable::DownstreamRemoteIp,
        ]
        .map(|variable| cx.variable_str(variable).unwrap_or("-").to_owned())
        .join(" ");
        let mut headers = cx.headers_mut();
        headers.set("x-seen", seen)?;
        headers.set("x-host-is-authority", same.to_string())?;
        headers.set("x-multi", multi.join("+"))?;
        headers.add("x-multi", "added")?;
        headers.set("x-facts", facts)?;
        headers.remove("x-drop")?;
        headers.set("host", "changed.test")?;
        cx.set_variable(Variable::Method, "PATCH")?;
        cx.set_variable(Variable::Path, "/changed")?;
        cx.set_variable(Variable::Query, "q=2")?;
        Ok(Status::Continue)
    }

    fn on_request_body(&mut self, cx: &mut RequestBody<'_>) -> HookResult {
        self.chunks += 1;
        let loud = cx.body().to_vec()?.to_ascii_uppercase();
        cx.body_mut().replace(loud)?;
        Ok(Status::Continue)
    }

    fn on_request_trailers(&mut self, cx: &mut RequestTrailers<'_>) -> HookResult {
        let count = cx.headers().iter().count();
        cx.headers_mut().set("x-trailers", count.to_string())?;
        cx.headers_mut().remove("x-drop")?;
        Ok(Status::Continue)
    }

    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        let seen = names(cx.headers());
        let status = cx.status().or_fault("no status")?;
        let mut headers = cx.headers_mut();
        headers.set("x-seen", seen)?;
        headers.add("x-answer", "one")?;
        headers.add("x-answer", "two")?;
        headers.remove("x-drop")?;
        cx.set_status(status + 1)?;
        Ok(Status::Continue)
    }

    fn on_response_body(&mut self, cx: &mut ResponseBody<'_>) -> HookResult {
        let len = cx.body().len();
        let upper = cx.body().to_vec()?.to_ascii_uppercase();
        if cx.body_mut().drain(len)? != len {
            sidegate_sdk::bail!("drained less than there was");
        }
        cx.body_mut().append(upper)?;
        if cx.is_end() {
            cx.body_mut().append("!")?;
        }
        Ok(Status::Continue)
    }

    fn on_response_trailers(&mut self, cx: &mut ResponseTrailers<'_>) -> HookResult {
        let request = cx.request_trailers().get_str("x-trailers").unwrap_or("-").to_owned();
        cx.headers_mut().set("x-of-request", request)?;
        cx.headers_mut().remove("x-drop")?;
        Ok(Status::Continue)
    }
}
