//! Lets requests through that carry a valid JSON Web Token, and tells the
//! upstream and other filters what it says.

#![forbid(unsafe_code)]

mod keys;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use keys::{Keys, Refusal};
use serde::Deserialize;
use serde_json::{Map, Value};
use sidegate_sdk::config::{self, EditableHeaderName, HeaderValue};
use sidegate_sdk::prelude::*;

/// `{"keys_file": "keys.json", "issuer": "https://login.example", "audiences": ["shop"]}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JwtConfig {
    /// A JSON Web Key Set, or the file with one.
    keys: Option<JwkSet>,
    keys_file: Option<PathBuf>,
    issuer: String,
    /// A token must be for one of them.
    audiences: Vec<String>,
    /// What clocks may differ by.
    #[serde(with = "config::duration", default)]
    leeway: Duration,
    /// Claims that the upstream gets, with the names of their headers.
    #[serde(default)]
    forward: BTreeMap<String, EditableHeaderName>,
}

sidegate_sdk::labels! {
    enum Outcome: "result" { Valid = "valid", Missing = "missing", Invalid = "invalid" }
}

struct Jwt {
    keys: Keys,
    forward: BTreeMap<String, EditableHeaderName>,
    requests: Family<Counter, Outcome>,
}

impl FilterFactory for Jwt {
    type Config = JwtConfig;
    type Filter<'f> = JwtFilter<'f>;

    fn new(config: JwtConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        let (set, place) = match (config.keys, config.keys_file) {
            (Some(keys), None) => (keys, "keys"),
            (None, Some(file)) => {
                let text = std::fs::read(file).at("keys_file")?;
                (serde_json::from_slice(&text).at("keys_file")?, "keys_file")
            }
            _ => return Err(ConfigError::new("", "expected either `keys` or `keys_file`")),
        };
        if config.audiences.is_empty() {
            return Err(ConfigError::new("audiences", "expected at least one"));
        }
        let keys = Keys::new(&set, &config.issuer, &config.audiences, config.leeway).map_err(|e| e.within(place))?;
        Ok(Jwt { keys, forward: config.forward, requests: env.family("jwt_requests_total", &[])? })
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> JwtFilter<'f> {
        JwtFilter(self)
    }
}

struct JwtFilter<'f>(&'f Jwt);

impl Filter for JwtFilter<'_> {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let jwt = self.0;
        // The upstream trusts these headers, so a client must not send them.
        for name in jwt.forward.values() {
            cx.headers_mut().remove(name).or_fault(format_args!("cannot remove {name}"))?;
        }
        let mut fields = cx.headers().get_all("authorization");
        // With two of them the upstream might look at the other one.
        let token = match (fields.next(), fields.next()) {
            (Some(field), None) => bearer(field),
            _ => None,
        };
        let Some(token) = token else {
            jwt.requests[Outcome::Missing].inc();
            return cx.reply(Reply::text(401, "a token is needed\n").header("www-authenticate", "Bearer"));
        };
        let forwarded = jwt.keys.verify(token).and_then(|claims| forwarded(&jwt.forward, &claims));
        let forwarded = match forwarded {
            Ok(forwarded) => forwarded,
            Err(refusal) => {
                jwt.requests[Outcome::Invalid].inc();
                sidegate_sdk::debug!(cx, "token refused: {refusal}");
                let why = format!("Bearer error=\"invalid_token\", error_description=\"{refusal}\"");
                return cx.reply(Reply::text(401, "the token is not valid\n").header("www-authenticate", why));
            }
        };
        jwt.requests[Outcome::Valid].inc();
        for (claim, header, value) in forwarded {
            cx.headers_mut().set(header, &value).or_fault(format_args!("cannot set {header}"))?;
            cx.set_named(format!("jwt.{claim}"), &value)?;
        }
        Ok(Status::Continue)
    }
}

/// The token in `Bearer token`.
fn bearer(field: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = field.split_at_checked("Bearer ".len())?;
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then(|| token.trim_ascii())
}

type Forwarded<'f> = Vec<(&'f str, &'f EditableHeaderName, HeaderValue)>;

/// What is passed on of `claims`: texts as they are, others as JSON. A token
/// need not have them all.
fn forwarded<'f>(
    forward: &'f BTreeMap<String, EditableHeaderName>,
    claims: &Map<String, Value>,
) -> Result<Forwarded<'f>, Refusal> {
    let mut list = Vec::new();
    for (claim, header) in forward {
        let value = match claims.get(claim) {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => HeaderValue::new(text),
            Some(other) => HeaderValue::new(&other.to_string()),
        };
        list.push((claim.as_str(), header, value.ok_or(Refusal::Claim)?));
    }
    Ok(list)
}

sidegate_sdk::manifest!(include_str!("../manifest.json"));
sidegate_sdk::export!(Jwt);
