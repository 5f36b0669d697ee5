//! `header_to_metadata`: request headers say which hosts a request may go to.

use std::sync::Arc;

use sidegate_api::{
    BuildEnv, EndOfStream, FilterCx, FilterFault, HeaderMapKind, HookSet, Interests, ReceiverPhase, Status,
    StreamFilter, StreamFilterFactory, WorkerIndex,
};

use crate::builtin::Definition;
use crate::header_match::{changeable_header_name, header_name};
use crate::settings::{Object, Setting, Shape, Table, key, required};

/// `type: header_to_metadata`
pub(crate) struct HeaderToMetadata;

static HEADER_TO_METADATA: Table = Table::new(
    "Turns request headers into metadata that choose a subset of the cluster's hosts, over the route's \
     `metadata_match`.",
    &[key("request_rules", Shape::Array(&Shape::Object(&RULE)), "none", "All are applied, in order.")],
);

static RULE: Table = Table::new(
    "An entry of `request_rules`. Exactly one of `on_header_present` and `on_header_missing`.",
    &[
        required("header", Shape::Name, "a header name", "The header; `host` is the authority."),
        key("on_header_present", Shape::Object(&PAIR), "none", "What is set if it is there, even if it is empty."),
        key("on_header_missing", Shape::Object(&MISSING), "none", "What is set if it is not."),
        key("remove", Shape::Bool, "`false`", "Whether the header is taken from the request."),
    ],
)
.exactly_one(&["on_header_present", "on_header_missing"]);

static PAIR: Table = Table::new(
    "What is set.",
    &[
        required("key", Shape::Name, "a metadata key", "The key."),
        key("value", Shape::Text, "the header's value", "The value."),
    ],
);

static MISSING: Table = Table::new(
    "What is set.",
    &[
        required("key", Shape::Name, "a metadata key", "The key."),
        required("value", Shape::Name, "a value", "The value."),
    ],
);

#[derive(Debug)]
pub(crate) struct Rule {
    header: Box<[u8]>,
    remove: bool,
    sets: Sets,
}

#[derive(Debug)]
enum Sets {
    /// If the header is there; `None`: its value.
    Present(Arc<str>, Option<Arc<str>>),
    Missing(Arc<str>, Arc<str>),
}

#[derive(Debug)]
struct Factory(Arc<[Rule]>);

struct Filter(Arc<[Rule]>);

impl Rule {
    fn read(object: &Object<'_>) -> Option<Rule> {
        let at = object.get("header");
        let header = at.as_ref().and_then(|s| s.parsed(header_name));
        let remove = object.get("remove").and_then(|s| s.bool()).unwrap_or_default();
        match (&at, header.as_deref(), remove) {
            (Some(at), Some(b"host"), true) => at.error("the authority cannot be removed"),
            // Such a removal would fault every request.
            (Some(at), Some(_), true) => drop(at.parsed(changeable_header_name)),
            _ => {}
        }
        let pair = |at: Setting<'_>| {
            let object = at.object()?;
            let value = object.get("value").and_then(|s| s.text()).filter(|value| !value.is_empty());
            Some((Arc::from(object.get("key")?.text()?), value.map(Arc::from)))
        };
        let sets = match (object.get("on_header_present"), object.get("on_header_missing")) {
            (Some(present), _) => pair(present).map(|(key, value)| Sets::Present(key, value))?,
            // The table asks for a value.
            (None, missing) => pair(missing?).and_then(|(key, value)| Some(Sets::Missing(key, value?)))?,
        };
        Some(Rule { header: header?, remove, sets })
    }

    fn apply(&self, cx: &mut FilterCx<'_>) -> Result<(), FilterFault> {
        let found = cx.header(HeaderMapKind::Request, &self.header);
        let there = found.is_some();
        match (&self.sets, found) {
            (Sets::Present(key, Some(value)), Some(_)) | (Sets::Missing(key, value), None) => {
                cx.set_metadata(key.clone(), value.clone());
            }
            (Sets::Present(key, None), Some(found)) => {
                // What is no text is no host's metadata either.
                let value = Arc::from(String::from_utf8_lossy(found));
                cx.set_metadata(key.clone(), value);
            }
            (Sets::Present(..), None) | (Sets::Missing(..), Some(_)) => {}
        }
        if there && self.remove {
            let removed = cx.remove_header(HeaderMapKind::Request, &self.header);
            removed.map_err(|error| FilterFault::new(format!("cannot remove the header: {error}")))?;
        }
        Ok(())
    }
}

impl Definition for HeaderToMetadata {
    type Settings = Vec<Rule>;

    const TABLE: &'static Table = &HEADER_TO_METADATA;

    fn read(config: &Object<'_>, _env: &BuildEnv) -> Vec<Rule> {
        let rules = config.get("request_rules").map(|s| s.list()).unwrap_or_default();
        rules.iter().filter_map(|s| Rule::read(&s.object()?)).collect()
    }

    fn factory(settings: Vec<Rule>, _name: &str, _env: &BuildEnv) -> Arc<dyn StreamFilterFactory> {
        Arc::new(Factory(settings.into()))
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
        match self.0.iter().try_for_each(|rule| rule.apply(cx)) {
            Ok(()) => Status::Continue,
            Err(fault) => Status::Fault(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Bench, Outcome, errors};

    fn pairs(bench: &Bench) -> Vec<(&str, &str)> {
        let metadata = bench.stream.metadata.iter().flat_map(|metadata| metadata.pairs());
        metadata.map(|(key, value)| (&**key, &**value)).collect()
    }

    #[test]
    fn rules_set_metadata() {
        let config = json!({"request_rules": [
            {"header": "X-Version", "on_header_present": {"key": "version"}, "remove": true},
            {"header": "x-canary", "on_header_present": {"key": "stage", "value": "canary"}},
            {"header": "x-canary", "on_header_missing": {"key": "stage", "value": "prod"}},
        ]});
        let mut plain = Bench::new::<HeaderToMetadata>(config.clone());
        assert_eq!(plain.request(), Outcome::Continue);
        assert_eq!(pairs(&plain), [("stage", "prod")]);
        let mut both = Bench::new::<HeaderToMetadata>(config).header("x-version", "2").header("x-canary", "");
        assert_eq!(both.request(), Outcome::Continue);
        assert_eq!(pairs(&both), [("stage", "canary"), ("version", "2")]);
        assert!(
            !both.stream.request.headers.contains(b"x-version") && both.stream.request.headers.contains(b"x-canary")
        );
    }

    #[test]
    fn mistakes_are_named() {
        let pair = json!({"key": "k", "value": "v"});
        let config = json!({"request_rules": [
            {"header": "x", "on_header_present": pair, "on_header_missing": pair},
            {"header": "x"},
            {"header": "x", "on_header_missing": {"key": "k"}},
            {"header": "host", "on_header_present": pair, "remove": true},
            {"header": "TE", "on_header_present": pair, "remove": true},
        ]});
        assert_eq!(
            errors::<HeaderToMetadata>(config),
            [
                "config.request_rules[0].on_header_missing: expected one of on_header_present, on_header_missing, \
                 found on_header_present and on_header_missing",
                "config.request_rules[1]: expected one of on_header_present, on_header_missing, found none",
                "config.request_rules[2].on_header_missing.value: required key is missing; expected a value",
                "config.request_rules[3].header: the authority cannot be removed",
                "config.request_rules[4].header: expected a header that is neither `host` nor of framing or the \
                 connection, found \"TE\"",
            ]
        );
    }
}
