//! Removes, sets and adds headers of requests and responses, as configured.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde::Deserialize;
use sidegate_sdk::config::{EditableHeaderName, HeaderValue};
use sidegate_sdk::prelude::*;
use sidegate_sdk::HeadersMut;

/// `{"request": {…}, "response": {…}}`
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct HeadersConfig {
    request: Edits,
    response: Edits,
}

/// What happens to one direction's headers, in this order.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Edits {
    /// All fields of these names go.
    remove: Vec<EditableHeaderName>,
    /// One field takes the place of all of that name.
    set: BTreeMap<EditableHeaderName, HeaderValue>,
    /// A field is appended.
    add: BTreeMap<EditableHeaderName, HeaderValue>,
}

impl Edits {
    fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    fn apply(&self, mut headers: HeadersMut<'_>) -> HookResult {
        for name in &self.remove {
            headers.remove(name).or_fault(format_args!("cannot remove {name}"))?;
        }
        for (name, value) in &self.set {
            headers.set(name, value).or_fault(format_args!("cannot set {name}"))?;
        }
        for (name, value) in &self.add {
            headers.add(name, value).or_fault(format_args!("cannot add {name}"))?;
        }
        Ok(Status::Continue)
    }
}

struct HeaderEdits(HeadersConfig);

struct HeaderFilter<'f>(&'f HeadersConfig);

impl FilterFactory for HeaderEdits {
    type Config = HeadersConfig;
    type Filter<'f> = HeaderFilter<'f>;

    fn new(config: HeadersConfig, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        // A request has one `host`, its authority.
        let Edits { remove, set, add } = &config.request;
        if let Some(place) = remove.iter().position(|name| *name == "host") {
            return Err(ConfigError::new(format!("request.remove[{place}]"), "`host` cannot be removed"));
        }
        if add.keys().any(|name| *name == "host") {
            return Err(ConfigError::new("request.add.host", "a request has one `host`; `set` changes it"));
        }
        match set.iter().find(|(name, value)| **name == "host" && !is_host(value)) {
            Some((_, value)) => {
                Err(ConfigError::new("request.set.host", format_args!("expected a host, found `{value}`")))
            }
            None => Ok(HeaderEdits(config)),
        }
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> HeaderFilter<'f> {
        HeaderFilter(&self.0)
    }

    // A direction without edits costs nothing.
    fn hooks(&self) -> Hooks {
        let mut hooks = Hooks::new();
        if !self.0.request.is_empty() {
            hooks = hooks.request_headers(Phase::BeforeRoute);
        }
        if !self.0.response.is_empty() {
            hooks = hooks.response_headers();
        }
        hooks
    }
}

impl Filter for HeaderFilter<'_> {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute).response_headers();

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        self.0.request.apply(cx.headers_mut())
    }

    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        self.0.response.apply(cx.headers_mut())
    }
}

/// Whether the proxy takes it as the authority of a request.
fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@,\\".contains(&b))
}

sidegate_sdk::manifest!(include_str!("../manifest.json"));
sidegate_sdk::export!(HeaderEdits);

#[cfg(test)]
mod tests;
