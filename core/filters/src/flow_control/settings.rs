//! What MOSN's configuration of the filter says, and Sentinel's of its rules.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use sidegate_api::Counter;

use super::resource::Resource;
use super::rules::{Limit, Rule};
use super::shaping::{Allowed, Pacer, WarmUp};
use super::window::Window;
use crate::header_match::header_name;
use crate::settings::{Key, Object, Shape, Table, key, refused, required};

pub(super) static FLOW_CONTROL: Table = Table::new(
    "Bounds how many requests of a resource pass: per second, or at a time. The rules are Sentinel's. Each entry of a \
     filter chain counts for itself, over all workers.",
    &[
        key("global_switch", Shape::Bool, "`false`", "Whether requests are limited at all."),
        key(
            "limit_key_type",
            Shape::Words(&["PATH", "URI", "ARG", "HEADER"]),
            "`PATH`",
            "What a request's resource is: its path, its path with the query, its query, or the value of a header; \
             `HEADER` is not MOSN's.",
        ),
        key(
            "limit_key_name",
            Shape::Name,
            "none",
            "With `HEADER`: the header. With `ARG`: the argument whose value is the resource, in place of the whole \
             query. Not MOSN's.",
        ),
        key("action", Shape::Object(&ACTION), "none", "How a request is answered that is refused."),
        key(
            "rules",
            Shape::Array(&Shape::Object(&RULE)),
            "none",
            "A request passes if all rules of its resource let it.",
        ),
        key("monitor", Shape::Bool, "`false`", "`true` is an error: MOSN reads it and limits all the same."),
        key("app_name", Shape::Text, "none", "Sentinel's name for the process in its own logs; nothing here."),
        key("log_path", Shape::Text, "none", "Where Sentinel writes what it counts; here that is in the metrics."),
        key(
            "direction",
            Shape::Text,
            "none",
            "For Sentinel's rules on the system, which are none of these; nothing here.",
        ),
        key(
            "callback_name",
            Shape::Text,
            "none",
            "Any but `\"\"` is an error: it names Go code that is linked to MOSN.",
        ),
        refused("dynamic_data_resources", "rules come from this file alone; nothing is fetched from Nacos"),
    ],
);

static ACTION: Table = Table::new(
    "`action`.",
    &[
        key("status", Shape::Integer(0, 599), "509", "Status of the refusal, 200 to 599; 0 is the default."),
        key("body", Shape::Text, "`current request is limited`", "Its body."),
    ],
);

const MEMORY: &str = "More than 0 is an error: it belongs to `tokenCalculateStrategy` 2.";

static RULE: Table = Table::new(
    "An entry of `rules`.",
    &[
        required("resource", Shape::Name, "a resource", "The resource, as `limit_key_type` makes it of a request."),
        required(
            "threshold",
            Shape::Number(0.0, 8e6),
            "a number",
            "How many requests pass within `statIntervalInMs`, or are in progress at a time. Fractions count for \
             distances (`controlBehavior` 1) alone.",
        ),
        Key {
            alias: Some("metricType"),
            ..key("grade", Shape::Integer(0, 1), "1", "1: requests per interval. 0: requests in progress.")
        },
        key(
            "statIntervalInMs",
            Shape::Integer(0, 86_400_000),
            "1000",
            "The interval in milliseconds; 0 is the default.",
        ),
        key(
            "controlBehavior",
            Shape::Integer(0, 1),
            "0",
            "0: whoever comes too soon is refused. 1: requests pass at even distances, and wait for that.",
        ),
        key(
            "maxQueueingTimeMs",
            Shape::Integer(0, 600_000),
            "0",
            "With `controlBehavior` 1: the longest wait, in milliseconds; who would have to wait longer is refused.",
        ),
        key(
            "tokenCalculateStrategy",
            Shape::Integer(0, 2),
            "0",
            "0: `threshold` as it is. 1: less of it after a rest. 2, less of it when memory is short, is an error.",
        ),
        key(
            "warmUpPeriodSec",
            Shape::Integer(0, 86_400),
            "0",
            "How long warming up takes, in seconds. Counts with \
             `tokenCalculateStrategy` 1, which asks for it.",
        ),
        key(
            "warmUpColdFactor",
            Shape::Integer(0, 1000),
            "3",
            "What part of `threshold` is allowed cold: 3 is a third. 0 is the \
             default. Counts with `tokenCalculateStrategy` 1.",
        ),
        Key {
            alias: Some("strategy"),
            ..key(
                "relationStrategy",
                Shape::Integer(0, 2),
                "0",
                "0: requests of `resource` are counted. 1: those of `refResource`. 2, Sentinel's chains of calls, is an \
                 error.",
            )
        },
        key("refResource", Shape::Text, "none", "The resource whose requests are counted, with `relationStrategy` 1."),
        key("id", Shape::Text, "none", "For whoever reads the file."),
        key("limitApp", Shape::Text, "none", "`\"\"` or `default`. Others are an error: callers have no names here."),
        key("regex", Shape::Bool, "`false`", "`true` is an error: each resource has a rule of its own."),
        key("lowMemUsageThreshold", Shape::Integer(0, i64::MAX as u64), "0", MEMORY),
        key("highMemUsageThreshold", Shape::Integer(0, i64::MAX as u64), "0", MEMORY),
        key("memLowWaterMarkBytes", Shape::Integer(0, i64::MAX as u64), "0", MEMORY),
        key("memHighWaterMarkBytes", Shape::Integer(0, i64::MAX as u64), "0", MEMORY),
    ],
);

/// The parsed `config`.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(super) is_on: bool,
    pub(super) resource: Resource,
    pub(super) status: u16,
    pub(super) body: Box<str>,
    pub(super) rules: Vec<RuleSettings>,
}

/// A rule as it is written.
#[derive(Debug)]
pub(super) struct RuleSettings {
    pub(super) resource: Box<str>,
    counts: Option<Box<str>>,
    threshold: f64,
    measure: Measure,
}

#[derive(Debug, Clone, Copy)]
enum Measure {
    Concurrency,
    Rate { interval: Duration, warm_up: Option<(Duration, u64)>, pace: Option<Duration> },
}

impl Settings {
    pub(super) fn read(config: &Object<'_>) -> Settings {
        if let Some(at) = config.get("monitor").filter(|s| s.bool() == Some(true)) {
            at.error("not available: MOSN limits requests all the same; expected false");
        }
        if let Some(at) = config.get("callback_name").filter(|s| s.text().is_some_and(|name| !name.is_empty())) {
            at.error("not available: it names Go code that is linked to MOSN; expected \"\"");
        }
        for name in ["app_name", "log_path", "direction"] {
            config.get(name).map(|s| s.text());
        }
        let action = config.get("action").and_then(|s| s.object());
        let status = action.as_ref().and_then(|action| action.get("status")).and_then(|s| match s.integer()? {
            0 => None,
            status @ 200.. => u16::try_from(status).ok(),
            _ => {
                s.expected("0, or a status from 200 to 599");
                None
            }
        });
        let body = action.as_ref().and_then(|action| action.get("body")).and_then(|s| s.text());
        let rules = config.get("rules").map(|s| s.list()).unwrap_or_default();
        Settings {
            is_on: config.get("global_switch").and_then(|s| s.bool()).unwrap_or_default(),
            resource: resource(config),
            status: status.unwrap_or(509),
            body: body.unwrap_or("current request is limited").into(),
            rules: rules.iter().filter_map(|s| RuleSettings::read(&s.object()?)).collect(),
        }
    }
}

fn resource(config: &Object<'_>) -> Resource {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Kind {
        Path,
        Uri,
        Argument,
        Header,
    }
    let kinds = [("PATH", Kind::Path), ("URI", Kind::Uri), ("ARG", Kind::Argument), ("HEADER", Kind::Header)];
    let kind = config.get("limit_key_type").map_or(Some(Kind::Path), |s| s.choice(&kinds));
    let name = config.get("limit_key_name");
    match (kind, &name) {
        (Some(Kind::Header), None) => {
            config.error("limit_key_name", "required key is missing; expected a header name".to_owned());
        }
        (Some(Kind::Path | Kind::Uri), Some(at)) => at.error("it has no meaning without `ARG` or `HEADER`"),
        _ => {}
    }
    let name = name.as_ref();
    match kind {
        Some(Kind::Header) => Resource::Header(name.and_then(|s| s.parsed(header_name)).unwrap_or_default()),
        Some(Kind::Argument) => match name.and_then(|s| s.text()) {
            Some(name) => Resource::Argument(name.into()),
            None => Resource::Query,
        },
        Some(Kind::Uri) => Resource::Target,
        Some(Kind::Path) | None => Resource::Path,
    }
}

impl RuleSettings {
    fn read(object: &Object<'_>) -> Option<RuleSettings> {
        let number = |name| object.get(name).and_then(|s| s.integer()).unwrap_or_default();
        refuse_what_is_not_there(object);
        let resource: Option<Box<str>> = object.get("resource").and_then(|s| s.text()).map(Box::from);
        let threshold = object.get("threshold").and_then(|s| s.number());
        let other = object.get("refResource").and_then(|s| s.text()).filter(|name| !name.is_empty());
        let counts = match (number("relationStrategy"), other) {
            (1, None) => {
                object
                    .error("refResource", "required key is missing; expected the resource that is counted".to_owned());
                None
            }
            (1, other) => other.filter(|other| Some(*other) != resource.as_deref()),
            _ => None,
        };
        let cold_factor = match number("warmUpColdFactor") {
            0 => 3,
            factor => factor,
        };
        let strategy = number("tokenCalculateStrategy");
        if strategy == 1 && number("warmUpPeriodSec") == 0 {
            object.error("warmUpPeriodSec", "required key is missing; expected seconds, from 1 up".to_owned());
        }
        if strategy == 1 && cold_factor == 1 {
            object.error("warmUpColdFactor", "expected 0, or a factor from 2 up, found 1".to_owned());
        }
        let interval = Duration::from_millis(match number("statIntervalInMs") {
            0 => 1000,
            interval => interval,
        });
        let rate = Measure::Rate {
            interval,
            warm_up: (strategy == 1).then(|| (Duration::from_secs(number("warmUpPeriodSec")), cold_factor)),
            pace: (number("controlBehavior") == 1).then(|| Duration::from_millis(number("maxQueueingTimeMs"))),
        };
        let measure = match object.get("grade").and_then(|s| s.integer()) {
            Some(0) => {
                for name in ["controlBehavior", "tokenCalculateStrategy"] {
                    if let Some(at) = object.get(name).filter(|s| s.integer().is_some_and(|value| value > 0)) {
                        at.expected("0, as `grade` 0 counts requests in progress");
                    }
                }
                Measure::Concurrency
            }
            _ => rate,
        };
        Some(RuleSettings { resource: resource?, counts: counts.map(Box::from), threshold: threshold?, measure })
    }

    /// The rule as it runs, with nothing counted.
    pub(super) fn start(&self, refused: Option<Counter>) -> Rule {
        let limit = match self.measure {
            // A cast to an integer saturates.
            Measure::Concurrency => Limit::Concurrency { active: AtomicU64::new(0), most: self.threshold as u64 },
            Measure::Rate { interval, warm_up, pace } => {
                let window = Window::new(interval);
                let allowed = match warm_up {
                    Some((period, cold_factor)) => Allowed::WarmUp(WarmUp::new(self.threshold, period, cold_factor)),
                    None => Allowed::Fixed(self.threshold),
                };
                match pace {
                    None => Limit::Rate { window, interval, allowed },
                    Some(patience) => Limit::Pace { window, interval, allowed, pacer: Pacer::default(), patience },
                }
            }
        };
        Rule { resource: self.resource.clone(), counts: self.counts.clone(), limit, refused }
    }
}

fn refuse_what_is_not_there(object: &Object<'_>) {
    object.get("id").map(|s| s.text());
    if let Some(at) = object.get("regex").filter(|s| s.bool() == Some(true)) {
        at.error("not available: each resource has a rule of its own; expected false");
    }
    if let Some(at) = object.get("limitApp").filter(|s| !matches!(s.text(), None | Some("" | "default"))) {
        at.error("not available: callers have no names here; expected \"\" or \"default\"");
    }
    if let Some(at) = object.get("tokenCalculateStrategy").filter(|s| s.integer() == Some(2)) {
        at.error("not available: rules do not look at memory (`overload` of the file does); expected 0 or 1");
    }
    if let Some(at) = object.get("relationStrategy").filter(|s| s.integer() == Some(2)) {
        at.error("not available: a request calls one resource, there are no chains; expected 0 or 1");
    }
    for name in ["lowMemUsageThreshold", "highMemUsageThreshold", "memLowWaterMarkBytes", "memHighWaterMarkBytes"] {
        if let Some(at) = object.get(name).filter(|s| s.integer().is_some_and(|value| value > 0)) {
            at.error("not available: rules do not look at memory (`overload` of the file does); expected 0");
        }
    }
}
