//! `payload_limit`: refuses requests whose body is too large.

use std::sync::Arc;

use sidegate_api::{
    BodyDirection, BodyInterest, BuildEnv, EndOfStream, FilterConfigError, FilterCx, FilterFault, HeaderMapKind,
    HookSet, Interests, LocalReply, ReceiverPhase, RegexBudget, RouteFilterConfig, Status, StreamFilter,
    StreamFilterFactory, WorkerIndex,
};

use crate::builtin::{Definition, in_force, route_settings};
use crate::settings::{Key, Object, Shape, Table, key};

/// `type: payload_limit`
pub(crate) struct PayloadLimit;

static PAYLOAD_LIMIT: Table = Table::new(
    "Refuses requests with a larger body. One that announces its length is refused before anything of it goes \
     upstream; of any other the upstream sees the beginning, without an end. `per_filter_config` of a route replaces \
     all of it.",
    &[
        Key {
            // MOSN reads the name with a blank at its end, and only that.
            alias: Some("max_entity_size "),
            ..key("max_entity_size", Shape::Integer(0, i32::MAX as u64), "0", "Bytes of body. 0: any number.")
        },
        key("http_status", Shape::Integer(0, 599), "413", "Status of the refusal, 200 to 599; 0 is the default."),
    ],
);

/// The parsed `config`, or a route's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Bytes.
    max: Option<u64>,
    status: u16,
}

impl Settings {
    fn read(config: &Object<'_>) -> Settings {
        let max = config.get("max_entity_size").and_then(|s| s.integer()).filter(|max| *max > 0);
        let status = config.get("http_status").and_then(|s| match s.integer()? {
            0 => None,
            status @ 200.. => u16::try_from(status).ok(),
            _ => {
                s.expected("0, or a status from 200 to 599");
                None
            }
        });
        Settings { max, status: status.unwrap_or(413) }
    }
}

#[derive(Debug)]
struct Factory(Settings);

struct Filter {
    settings: Settings,
    seen: u64,
}

impl Definition for PayloadLimit {
    type Settings = Settings;

    const TABLE: &'static Table = &PAYLOAD_LIMIT;

    fn read(config: &Object<'_>, _env: &BuildEnv) -> Settings {
        Settings::read(config)
    }

    fn factory(settings: Settings, _name: &str, _env: &BuildEnv) -> Arc<dyn StreamFilterFactory> {
        Arc::new(Factory(settings))
    }
}

impl StreamFilterFactory for Factory {
    fn interests(&self) -> Interests {
        Interests {
            phases: HookSet::phases(&[ReceiverPhase::AfterRoute]),
            request_body: BodyInterest::Observe,
            ..Interests::default()
        }
    }

    fn create_filter(&self, _worker: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault> {
        Ok(Box::new(Filter { settings: self.0, seen: 0 }))
    }

    fn create_route_config(&self, value: &serde_json::Value) -> Result<Arc<dyn RouteFilterConfig>, FilterConfigError> {
        // It has no regular expressions.
        route_settings(value, &PAYLOAD_LIMIT, &RegexBudget::default(), Settings::read)
    }
}

impl StreamFilter for Filter {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, _phase: ReceiverPhase, end: EndOfStream) -> Status {
        self.settings = *in_force(cx, &self.settings);
        let Some(max) = self.settings.max.filter(|_| end == EndOfStream::More) else {
            cx.waive_body(BodyDirection::Request);
            return Status::Continue;
        };
        let announced = cx.header(HeaderMapKind::Request, b"content-length").and_then(number);
        match announced {
            Some(announced) if announced > max => self.refuse(cx),
            // The codec holds the client to what it announced.
            Some(_) => {
                cx.waive_body(BodyDirection::Request);
                Status::Continue
            }
            None => Status::Continue,
        }
    }

    fn on_request_body(&mut self, cx: &mut FilterCx<'_>, _end: EndOfStream) -> Status {
        self.seen += cx.body(BodyDirection::Request).map_or(0, |body| body.len() as u64);
        match self.settings.max {
            Some(max) if self.seen > max => self.refuse(cx),
            _ => Status::Continue,
        }
    }
}

impl Filter {
    fn refuse(&self, cx: &mut FilterCx<'_>) -> Status {
        match cx.reply(LocalReply::text(self.settings.status, "payload_limit", "request body too large\n")) {
            Ok(()) => Status::Stop,
            // The response has begun: all that is left is to end the stream.
            Err(_) => Status::Terminate,
        }
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Bench, Outcome, errors};

    fn head(bench: &mut Bench) -> Outcome {
        bench.request_with_body()
    }

    #[test]
    fn an_announced_length_decides_at_once() {
        for (length, outcome) in [("10", Outcome::Continue), ("11", Outcome::Reply(413))] {
            let mut bench = Bench::new::<PayloadLimit>(json!({"max_entity_size": 10})).header("content-length", length);
            assert_eq!(head(&mut bench), outcome);
            assert_eq!(bench.waives(BodyDirection::Request), length == "10");
        }
    }

    #[test]
    fn other_bodies_are_counted() {
        // As MOSN's own files have it.
        let mut bench = Bench::new::<PayloadLimit>(json!({"max_entity_size ": 10, "http_status": 509}));
        assert_eq!(head(&mut bench), Outcome::Continue);
        assert_eq!(bench.request_body(b"12345"), Outcome::Continue);
        assert_eq!(bench.request_body(b"67890"), Outcome::Continue);
        assert_eq!(bench.request_body(b"!"), Outcome::Reply(509));
    }

    #[test]
    fn zero_is_no_limit_and_routes_have_their_own() {
        for config in [json!({}), json!({"max_entity_size": 0})] {
            let mut bench = Bench::new::<PayloadLimit>(config).header("content-length", "999999999");
            assert_eq!(head(&mut bench), Outcome::Continue);
            assert!(bench.waives(BodyDirection::Request));
        }
        let mut bench = Bench::new::<PayloadLimit>(json!({})).on_route(json!({"max_entity_size": 1}));
        assert_eq!(head(&mut bench), Outcome::Continue);
        assert_eq!(bench.request_body(b"12"), Outcome::Reply(413));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            errors::<PayloadLimit>(json!({"max_entity_size": 4_294_967_296_u64, "http_status": 100})),
            [
                "config.max_entity_size: expected an integer from 0 to 2147483647, found 4294967296",
                "config.http_status: expected 0, or a status from 200 to 599, found 100"
            ]
        );
    }
}
