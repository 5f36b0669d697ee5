//! Removes, sets and adds headers of requests and responses, as configured.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde::Deserialize;
use sidegate_sdk::config::{HeaderName, HeaderValue};
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
    remove: Vec<HeaderName>,
    /// One field takes the place of all of that name.
    set: BTreeMap<HeaderName, HeaderValue>,
    /// A field is appended.
    add: BTreeMap<HeaderName, HeaderValue>,
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
        Ok(HeaderEdits(config))
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

sidegate_sdk::export!(HeaderEdits);

#[cfg(test)]
mod tests;
