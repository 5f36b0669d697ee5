//! What is injected, where and how often.

use std::time::Duration;

use sidegate_api::StreamState;

use crate::chance::{Dice, Percent};
use crate::header_match::{HEADER_MATCH, HeaderMatch};
use crate::settings::{Object, Shape, Table, key};

pub(super) static FAULT: Table = Table::new(
    "Delays and refuses requests, once they are routed. `per_filter_config` of a route replaces all of it.",
    &[
        key("delay", Shape::Object(&DELAY), "none", "Requests wait before they go on. Nobody else waits with them."),
        key("abort", Shape::Object(&ABORT), "none", "Requests are answered here, after the delay if both fall on one."),
        key("upstream_cluster", Shape::Text, "any", "Only requests that are routed to this cluster."),
        key("headers", Shape::Array(&Shape::Object(&HEADER_MATCH)), "none", "Only requests that meet all of these."),
    ],
);

const PERCENTAGE_DOC: &str = "So many of a hundred requests, at random.";

static DELAY: Table = Table::new(
    "`delay`.",
    &[
        key("percentage", Shape::Integer(0, 100), "0", PERCENTAGE_DOC),
        key("fixed_delay", Shape::Duration, "0", "How long; some tens of milliseconds may come on top."),
    ],
);

static ABORT: Table = Table::new(
    "`abort`.",
    &[
        key("percentage", Shape::Integer(0, 100), "0", PERCENTAGE_DOC),
        key(
            "status",
            Shape::Integer(0, 599),
            "none",
            "The answer's status, from 200 up. 0, or an empty `abort`: no answer.",
        ),
    ],
);

/// The parsed `config`, or a route's.
#[derive(Debug)]
pub(crate) struct Settings {
    delay: Option<(Percent, Duration)>,
    abort: Option<(Percent, u16)>,
    cluster: Option<Box<str>>,
    headers: Vec<HeaderMatch>,
}

impl Settings {
    pub(super) fn read(config: &Object<'_>) -> Settings {
        let percentage =
            |object: &Object<'_>| Percent::new(object.get("percentage").and_then(|s| s.integer()).unwrap_or_default());
        let delay = config.get("delay").and_then(|s| s.object()).map(|object| {
            let delay = object.get("fixed_delay").and_then(|s| s.duration()).unwrap_or_default();
            (percentage(&object), delay)
        });
        let abort = config.get("abort").and_then(|s| s.object()).map(|object| {
            let percent = percentage(&object);
            let status = match object.get("status") {
                Some(at) => at.integer().inspect(|status| {
                    // 0 is what is written for an absent one.
                    if (1..200).contains(status) {
                        at.expected("a status from 200 to 599");
                    }
                }),
                None => Some(0),
            };
            if status == Some(0) && object.get("percentage").and_then(|s| s.integer()).is_some_and(|of| of > 0) {
                object.error("status", "required key is missing; expected a status".to_owned());
            }
            (percent, status.and_then(|status| u16::try_from(status).ok()).unwrap_or_default())
        });
        let cluster = config.get("upstream_cluster").and_then(|s| s.text()).filter(|name| !name.is_empty());
        let headers = config.get("headers").map(|s| s.list()).unwrap_or_default();
        Settings {
            delay: delay.filter(|(_, delay)| !delay.is_zero()),
            abort: abort.filter(|(_, status)| *status > 0),
            cluster: cluster.map(Box::from),
            headers: headers.iter().filter_map(|s| HeaderMatch::read(&s.object()?)).collect(),
        }
    }

    /// Whether this request is one of those that may be hit.
    pub(super) fn applies_to(&self, stream: &StreamState) -> bool {
        self.cluster.as_deref().is_none_or(|cluster| stream.info.cluster.as_deref() == Some(cluster))
            && self.headers.iter().all(|header| header.agrees(stream))
    }

    /// How long this request waits.
    pub(super) fn delay(&self, dice: &Dice) -> Option<Duration> {
        self.delay.filter(|(percent, _)| percent.happens(dice)).map(|(_, delay)| delay)
    }

    /// What this request is answered with.
    pub(super) fn abort(&self, dice: &Dice) -> Option<u16> {
        self.abort.filter(|(percent, _)| percent.happens(dice)).map(|(_, status)| status)
    }
}
