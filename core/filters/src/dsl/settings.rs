//! What MOSN's configuration of the filter says.

use std::fmt;

use sidegate_api::RegexBudget;

use super::compile::compile;
use super::node::Node;
use crate::settings::{Object, Shape, Table, key};

pub(super) static DSL: Table = Table::new(
    "Runs expressions in CEL, in MOSN's dialect, which look at a stream and edit it. One that fails stops there, and \
     the stream goes on.",
    &[
        key("before_router_by_dsl", Shape::Text, "none", "Runs before the route is matched."),
        key("after_router_by_dsl", Shape::Text, "none", "Runs once the route is matched."),
        key("after_balancer_by_dsl", Shape::Text, "none", "Runs once a host is chosen, again for each attempt."),
        key(
            "send_filter_by_dsl",
            Shape::Text,
            "none",
            "Runs on the head of the response, replies of the proxy included.",
        ),
        key(
            "log_filter_by_dsl",
            Shape::Text,
            "none",
            "Runs when the stream has ended, and can change nothing any more.",
        ),
        key(
            "send_router_by_dsl",
            Shape::Text,
            "none",
            "Nothing, with a warning: MOSN's example calls `send_filter_by_dsl` so, and MOSN does not read it.",
        ),
        key("debug", Shape::Bool, "`false`", "Nothing, as in MOSN."),
    ],
);

/// Where an expression runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    BeforeRoute,
    AfterRoute,
    AfterChooseHost,
    Response,
    End,
}

/// The parsed `config`.
pub(crate) struct Settings {
    /// By place.
    programs: [Option<Node>; 5],
}

impl Place {
    pub(super) const ALL: [Place; 5] =
        [Place::BeforeRoute, Place::AfterRoute, Place::AfterChooseHost, Place::Response, Place::End];

    /// The key of its expression, also its name in metrics.
    pub(super) fn key(self) -> &'static str {
        match self {
            Place::BeforeRoute => "before_router_by_dsl",
            Place::AfterRoute => "after_router_by_dsl",
            Place::AfterChooseHost => "after_balancer_by_dsl",
            Place::Response => "send_filter_by_dsl",
            Place::End => "log_filter_by_dsl",
        }
    }
}

impl Settings {
    pub(super) fn read(config: &Object<'_>, regexes: &RegexBudget) -> Settings {
        config.get("debug").map(|s| s.bool());
        config.get("send_router_by_dsl").map(|s| s.text());
        let program = |place: Place| {
            let at = config.get(place.key())?;
            let text = at.text().filter(|text| !text.is_empty())?;
            match compile(text, regexes) {
                Ok(node) => Some(node),
                Err(problem) => {
                    at.error(problem.to_string());
                    None
                }
            }
        };
        Settings { programs: Place::ALL.map(program) }
    }

    pub(super) fn program(&self, place: Place) -> Option<&Node> {
        self.programs.get(place as usize)?.as_ref()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(Place::ALL.iter().filter(|place| self.program(**place).is_some())).finish()
    }
}
