//! Replaces texts in the bodies of requests and responses while they stream
//! by: nothing is collected but the few bytes that may begin a match.

#![forbid(unsafe_code)]

mod replacer;
#[cfg(test)]
mod tests;

use replacer::{Part, Replacer, Rules};
use serde::Deserialize;
use sidegate_sdk::prelude::*;
use sidegate_sdk::{Body, BodyMut};

/// `{"response": [{"from": "a", "to": "b"}], "content_types": ["text/"]}`
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RewriteConfig {
    /// Replacements in bodies of requests.
    #[serde(default)]
    request: Vec<Replacement>,
    /// Replacements in bodies of responses.
    #[serde(default)]
    response: Vec<Replacement>,
    /// How the types of bodies begin that are rewritten; others pass as they are.
    #[serde(default = "textual")]
    content_types: Vec<String>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize, schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Replacement {
    /// A text.
    #[cfg_attr(test, schemars(length(min = 1)))]
    from: String,
    /// What takes its place.
    to: String,
}

fn textual() -> Vec<String> {
    ["text/", "application/json", "application/javascript", "application/xml"].map(str::to_owned).to_vec()
}

struct Rewrite {
    /// `None` where nothing is to be replaced.
    request: Option<Rules>,
    response: Option<Rules>,
    content_types: Vec<String>,
}

impl Rewrite {
    /// Whether a body of this type is rewritten. One that is compressed shows
    /// none of its text.
    fn wants(&self, content_type: Option<&str>, encoding: Option<&[u8]>) -> bool {
        let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
        let plain = encoding.unwrap_or(b"identity").eq_ignore_ascii_case(b"identity");
        plain && self.content_types.iter().any(|wanted| content_type.starts_with(wanted.as_str()))
    }
}

fn rules(key: &str, list: &[Replacement]) -> Result<Option<Rules>, ConfigError> {
    if let Some(place) = list.iter().position(|replacement| replacement.from.is_empty()) {
        return Err(ConfigError::new(format!("{key}[{place}].from"), "expected a text, found an empty one"));
    }
    let pairs: Vec<_> = list.iter().map(|one| (one.from.as_bytes(), one.to.as_bytes())).collect();
    if pairs.is_empty() {
        return Ok(None);
    }
    Rules::new(&pairs).map(Some).map_err(|error| ConfigError::new(key, error))
}

impl FilterFactory for Rewrite {
    type Config = RewriteConfig;
    type Filter<'f> = RewriteFilter<'f>;

    fn new(config: RewriteConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(Rewrite {
            request: rules("request", &config.request)?,
            response: rules("response", &config.response)?,
            content_types: config.content_types.iter().map(|kind| kind.to_ascii_lowercase()).collect(),
        })
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> RewriteFilter<'f> {
        RewriteFilter { rewrite: self, request: None, response: None }
    }

    // Declaring a body that may change has the host drop its length, so only
    // where something is to be replaced.
    fn hooks(&self) -> Hooks {
        let mut hooks = Hooks::new();
        if self.request.is_some() {
            hooks = hooks.request_headers(Phase::BeforeRoute).request_body(BodyMode::Stream);
        }
        if self.response.is_some() {
            hooks = hooks.response_headers().response_body(BodyMode::Stream);
        }
        hooks
    }
}

struct RewriteFilter<'f> {
    rewrite: &'f Rewrite,
    /// `None` for a body that passes as it is.
    request: Option<(&'f Rules, Replacer)>,
    response: Option<(&'f Rules, Replacer)>,
}

/// The body's next bytes, with what `next` makes of them.
fn rewritten(body: Body<'_>, last: bool, next: &mut Option<(&Rules, Replacer)>) -> Result<Option<Vec<u8>>, HostError> {
    let Some((rules, replacer)) = next else { return Ok(None) };
    let part = if last { Part::Last } else { Part::Middle };
    Ok(Some(replacer.push(rules, &body.to_vec()?, part)))
}

/// A body that nobody rewrites keeps its length. Proxies of ABI 1.0 cannot do
/// that, and without a declared body there is nothing to waive.
fn waived(answer: Result<(), HostError>) -> Result<(), HostError> {
    match answer {
        Err(HostError::Unsupported | HostError::NotNow) => Ok(()),
        answer => answer,
    }
}

fn put(mut body: BodyMut<'_>, bytes: Option<Vec<u8>>) -> HookResult {
    if let Some(bytes) = bytes {
        body.replace(bytes)?;
    }
    Ok(Status::Continue)
}

impl Filter for RewriteFilter<'_> {
    const HOOKS: Hooks = Hooks::new()
        .request_headers(Phase::BeforeRoute)
        .request_body(BodyMode::Stream)
        .response_headers()
        .response_body(BodyMode::Stream);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let headers = cx.headers();
        if self.rewrite.wants(headers.get_str("content-type"), headers.get("content-encoding")) {
            self.request = self.rewrite.request.as_ref().map(|rules| (rules, Replacer::default()));
        } else {
            waived(cx.waive_request_body())?;
        }
        Ok(Status::Continue)
    }

    fn on_request_body(&mut self, cx: &mut RequestBody<'_>) -> HookResult {
        let bytes = rewritten(cx.body(), cx.is_body_end(), &mut self.request)?;
        put(cx.body_mut(), bytes)
    }

    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        let headers = cx.headers();
        if self.rewrite.wants(headers.get_str("content-type"), headers.get("content-encoding")) {
            self.response = self.rewrite.response.as_ref().map(|rules| (rules, Replacer::default()));
            // It names bytes that are not sent any more.
            cx.headers_mut().remove("etag")?;
        } else {
            waived(cx.waive_response_body())?;
        }
        Ok(Status::Continue)
    }

    fn on_response_body(&mut self, cx: &mut ResponseBody<'_>) -> HookResult {
        let bytes = rewritten(cx.body(), cx.is_body_end(), &mut self.response)?;
        put(cx.body_mut(), bytes)
    }
}

// The schema is that of `RewriteConfig`: a test holds it to that, and writes it.
sidegate_sdk::manifest!(concat!(
    r#"{
        "description": "Replaces texts in bodies while they stream by.",
        "licence": "Apache-2.0",
        "filters": [{
            "name": "body-rewrite",
            "hooks": ["request_headers", "request_body", "response_headers", "response_body"],
            "bodies": { "request": "stream", "response": "stream" },
            "config": "#,
    include_str!("../config.schema.json"),
    "}]}"
));
sidegate_sdk::export!(Rewrite);
