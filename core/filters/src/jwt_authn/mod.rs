//! `jwt_authn`: requests must carry JSON Web Tokens, as Envoy and MOSN have
//! it.
//!
//! ```text
//!  rule that has the request ─▶ requirement ─▶ provider ─▶ where the token is, whose keys sign it
//! ```

mod keys;
mod location;
mod provider;
mod refusal;
mod requirement;
mod rule;
mod schema;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use sidegate_api::{
    BuildEnv, EditError, EndOfStream, FilterCx, FilterFault, Fingerprint, HeaderMapKind, HookSet, Interests, Method,
    ReceiverPhase, Status, StreamFilter, StreamFilterFactory, StreamState, WorkerIndex,
};

use crate::builtin::Definition;
use crate::settings::{Object, Table};
use provider::Provider;
use refusal::Refusal;
use requirement::{Checks, Requirement};
use rule::Rule;
use schema::JWT_AUTHN;

/// `type: jwt_authn`
pub(crate) struct JwtAuthn;

/// The parsed `config`.
#[derive(Debug)]
pub(crate) struct Settings {
    providers: Vec<Provider>,
    rules: Vec<Rule>,
    preflight: Preflight,
}

/// What happens to a browser's question whether it may ask, which never
/// carries a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preflight {
    Checked,
    LetThrough,
}

#[derive(Debug)]
struct Factory(Arc<Settings>);

struct Filter(Arc<Settings>);

impl Definition for JwtAuthn {
    type Settings = Settings;

    const TABLE: &'static Table = &JWT_AUTHN;

    fn read(config: &Object<'_>, env: &BuildEnv) -> Settings {
        let entries = config.get("providers").map(|s| s.entries()).unwrap_or_default();
        // Providers that were refused keep their names: what refers to them is
        // no mistake of its own.
        let names: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
        let providers = entries.iter().filter_map(|(name, s)| Provider::read(name, &s.object()?, env)).collect();
        let named: Vec<(&str, Requirement)> = config
            .get("requirement_map")
            .map(|s| s.entries())
            .unwrap_or_default()
            .iter()
            .map(|(name, s)| (*name, s.object().map(|o| Requirement::read(&o, &names)).unwrap_or(Requirement::None)))
            .collect();
        let rules = config.get("rules").map(|s| s.list()).unwrap_or_default();
        let rules = rules.iter().filter_map(|s| Rule::read(&s.object()?, &names, &named)).collect();
        let bypass = config.get("bypass_cors_preflight").and_then(|s| s.bool()).unwrap_or_default();
        let preflight = if bypass { Preflight::LetThrough } else { Preflight::Checked };
        Settings { providers, rules, preflight }
    }

    fn fingerprint(config: &Object<'_>, env: &BuildEnv) -> Fingerprint {
        let entries = config.get("providers").map(|s| s.entries()).unwrap_or_default();
        let providers = entries.iter().filter_map(|(_, provider)| provider.object());
        providers.fold(Fingerprint::SPEC, |sum, provider| provider::fingerprint(sum, &provider, env))
    }

    fn factory(settings: Settings, _name: &str, _env: &BuildEnv) -> Arc<dyn StreamFilterFactory> {
        Arc::new(Factory(Arc::new(settings)))
    }
}

impl StreamFilterFactory for Factory {
    fn interests(&self) -> Interests {
        Interests { phases: HookSet::phases(&[ReceiverPhase::AfterRoute]), ..Interests::default() }
    }

    fn create_filter(&self, _worker: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault> {
        Ok(Box::new(Filter(self.0.clone())))
    }
}

impl StreamFilter for Filter {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, _phase: ReceiverPhase, _end: EndOfStream) -> Status {
        let checked = self.0.forget_claims(cx).map(|()| self.0.check(cx.stream()));
        let outcome = match checked {
            Ok(Ok(checks)) => self.0.hand_on(cx, &checks).map(|()| Status::Continue),
            Ok(Err(refusal)) => cx.reply(refusal.reply(&cx.stream().request.authority)).map(|()| Status::Stop),
            Err(error) => Err(error),
        };
        outcome.unwrap_or_else(|error| Status::Fault(FilterFault::new(error.to_string())))
    }
}

impl Settings {
    /// The first rule that has the request decides; without one it passes.
    fn check(&self, stream: &StreamState) -> Result<Checks, Refusal> {
        let mut checks = Checks::new(self.providers.len());
        if self.preflight == Preflight::LetThrough && is_preflight(stream) {
            return Ok(checks);
        }
        if let Some(rule) = self.rules.iter().find(|rule| rule.has(stream)) {
            rule.requirement().check(&self.providers, stream, &mut checks)?;
        }
        Ok(checks)
    }

    /// Only this filter says what a token holds: a client's own such headers
    /// go, whether or not a token is asked for.
    fn forget_claims(&self, cx: &mut FilterCx<'_>) -> Result<(), EditError> {
        for name in self.providers.iter().filter_map(|provider| provider.payload_header()) {
            if cx.headers(HeaderMapKind::Request).contains(name) {
                cx.remove_header(HeaderMapKind::Request, name)?;
            }
        }
        Ok(())
    }

    /// Passes on what was verified, as its providers say.
    fn hand_on(&self, cx: &mut FilterCx<'_>, checks: &Checks) -> Result<(), EditError> {
        for (provider, token) in checks.verified(&self.providers) {
            provider.hand_on(cx, token)?;
        }
        Ok(())
    }
}

fn is_preflight(stream: &StreamState) -> bool {
    let headers = &stream.request.headers;
    stream.request.method == Method::Options
        && headers.contains(b"origin")
        && headers.contains(b"access-control-request-method")
}
