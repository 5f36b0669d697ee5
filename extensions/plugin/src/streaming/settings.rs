//! `protocol` and `streaming` of the filter's configuration.

use sidegate_api::{BodyInterest, HookSet, Interests, ReceiverPhase, Variable};
use sidegate_proto::v1;
use sidegate_settings::{Object, Setting, Shape, Table, key};

use crate::settings::UseSettings;

const BODY_MODES: Shape = Shape::Words(&["none", "observe", "stream", "whole"]);

pub(crate) static STREAMING: Table = Table::new(
    "What a plugin sees by the streaming protocol. What is not said here follows from `direction` and `send_body`.",
    &[
        key(
            "phases",
            Shape::Array(&Shape::Words(&["before_route", "after_route", "after_choose_host"])),
            "`before_route` of a request that is asked about",
            "Where the plugin is asked about heads of requests.",
        ),
        key("request_body", BODY_MODES, "by `send_body`", "How it gets bodies of requests."),
        key("request_trailers", Shape::Bool, "false", "Whether it is asked about trailers of requests."),
        key("response_headers", Shape::Bool, "by `direction`", "Whether it is asked about heads of responses."),
        key("response_body", BODY_MODES, "by `send_body`", "How it gets bodies of responses."),
        key("response_trailers", Shape::Bool, "false", "Whether it is asked about trailers of responses."),
        key("completion", Shape::Bool, "false", "Whether it is told how streams end."),
        key("variables", Shape::Array(&Shape::Name), "none", "Variables that it is sent, beside those it asks for."),
        key(
            "shared_variables",
            Shape::Array(&Shape::Name),
            "none",
            "Variables that filters share and that it is sent.",
        ),
        key(
            "window",
            Shape::Integer(16_384, 4_194_304),
            "262144",
            "Bytes of one body that are on their way to it at once.",
        ),
        key("grpc_streams", Shape::Integer(1, 16), "1", "Calls of each worker that carry the streams of this filter."),
        key("config", Shape::Any, "`{}`", "Whatever the plugin is configured with."),
    ],
);

/// Keys that say what is seen.
const HOOKS: [&str; 7] = [
    "phases",
    "request_body",
    "request_trailers",
    "response_headers",
    "response_body",
    "response_trailers",
    "completion",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamingSettings {
    /// Whether a plugin that does not serve the protocol is asked by MOSN's
    /// call.
    pub(crate) falls_back: bool,
    pub(crate) hooks: Hooks,
    pub(crate) variables: Vec<Variable>,
    pub(crate) shared: Vec<String>,
    /// Bytes.
    pub(crate) window: usize,
    pub(crate) calls: usize,
    /// JSON.
    pub(crate) config: String,
}

/// What a plugin wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hooks {
    pub(crate) phases: HookSet,
    pub(crate) request_body: BodyInterest,
    pub(crate) request_trailers: bool,
    pub(crate) response_headers: bool,
    pub(crate) response_body: BodyInterest,
    pub(crate) response_trailers: bool,
    pub(crate) completion: bool,
}

impl StreamingSettings {
    pub(crate) fn read(object: &Object<'_>, usage: &UseSettings) -> Option<Self> {
        let protocol = object
            .get("protocol")
            .and_then(|s| s.choice(&[("mosn", None), ("sidegate", Some(false)), ("auto", Some(true))]));
        let falls_back = match protocol.flatten() {
            Some(falls_back) => falls_back,
            None => {
                if let Some(setting) = object.get("streaming") {
                    setting.error("means nothing with `protocol: mosn`, the default");
                }
                return None;
            }
        };
        let mut read = StreamingSettings { falls_back, ..StreamingSettings::plain(usage) };
        if let Some(streaming) = object.get("streaming").and_then(|s| s.object()) {
            read.take(&streaming);
        }
        Some(read)
    }

    /// Those of a filter that says nothing of them.
    pub(crate) fn plain(usage: &UseSettings) -> Self {
        StreamingSettings {
            falls_back: false,
            hooks: Hooks::of(usage),
            variables: Vec::new(),
            shared: Vec::new(),
            window: 256 << 10,
            calls: 1,
            config: "{}".to_owned(),
        }
    }

    fn take(&mut self, object: &Object<'_>) {
        for name in HOOKS.into_iter().filter(|_| self.falls_back) {
            if let Some(setting) = object.get(name) {
                setting.error("needs `protocol: sidegate`: MOSN's call has no such choice");
            }
        }
        let hooks = &mut self.hooks;
        if let Some(phases) = object.get("phases") {
            let words = [
                ("before_route", ReceiverPhase::BeforeRoute),
                ("after_route", ReceiverPhase::AfterRoute),
                ("after_choose_host", ReceiverPhase::AfterChooseHost),
            ];
            let phases: Vec<_> = phases.list().iter().filter_map(|phase| phase.choice(&words)).collect();
            hooks.phases = HookSet::phases(&phases);
        }
        let bool = |name| object.get(name).and_then(|s: Setting<'_>| s.bool());
        let body = |name| {
            object.get(name).and_then(|s: Setting<'_>| {
                s.choice(&[
                    ("none", BodyInterest::None),
                    ("observe", BodyInterest::Observe),
                    ("stream", BodyInterest::Stream),
                    ("whole", BodyInterest::Whole),
                ])
            })
        };
        hooks.request_body = body("request_body").unwrap_or(hooks.request_body);
        hooks.request_trailers = bool("request_trailers").unwrap_or(hooks.request_trailers);
        hooks.response_headers = bool("response_headers").unwrap_or(hooks.response_headers);
        hooks.response_body = body("response_body").unwrap_or(hooks.response_body);
        hooks.response_trailers = bool("response_trailers").unwrap_or(hooks.response_trailers);
        hooks.completion = bool("completion").unwrap_or(hooks.completion);
        let list = |name| object.get(name).map(|s: Setting<'_>| s.list()).unwrap_or_default();
        for name in list("variables") {
            self.variables.extend(name.parsed(variable));
        }
        self.shared = list("shared_variables").iter().filter_map(|s| s.text()).map(str::to_owned).collect();
        let number = |name, default| object.get(name).and_then(|s| s.integer()).map_or(default, |n| n as usize);
        self.window = number("window", self.window);
        self.calls = number("grpc_streams", self.calls);
        if let Some(config) = object.get("config") {
            self.config = config.any().to_string();
        }
    }
}

impl Hooks {
    /// What MOSN's call would be told.
    fn of(usage: &UseSettings) -> Self {
        let body = |wanted| if wanted && usage.send_body { BodyInterest::Whole } else { BodyInterest::None };
        Hooks {
            phases: if usage.request { HookSet::phases(&[ReceiverPhase::BeforeRoute]) } else { HookSet::NONE },
            request_body: body(usage.request),
            request_trailers: false,
            response_headers: usage.response,
            response_body: body(usage.response),
            response_trailers: false,
            completion: false,
        }
    }

    pub(crate) fn interests(&self) -> Interests {
        Interests {
            phases: self.phases,
            request_body: self.request_body,
            request_trailers: self.request_trailers.into(),
            response_headers: self.response_headers.into(),
            response_body: self.response_body,
            response_trailers: self.response_trailers.into(),
            complete: self.completion.into(),
        }
    }

    pub(crate) fn to_wire(self) -> v1::Hooks {
        let mode = |interest| match interest {
            BodyInterest::None => v1::BodyMode::None,
            BodyInterest::Observe => v1::BodyMode::Observe,
            BodyInterest::Stream => v1::BodyMode::Stream,
            BodyInterest::Whole => v1::BodyMode::Whole,
        };
        v1::Hooks {
            request_before_route: self.phases.has(ReceiverPhase::BeforeRoute),
            request_after_route: self.phases.has(ReceiverPhase::AfterRoute),
            request_after_choose_host: self.phases.has(ReceiverPhase::AfterChooseHost),
            request_body: mode(self.request_body).into(),
            request_trailers: self.request_trailers,
            response_headers: self.response_headers,
            response_body: mode(self.response_body).into(),
            response_trailers: self.response_trailers,
            completion: self.completion,
        }
    }
}

/// A variable by the name that it has in the protocol, in lower case.
fn variable(name: &str) -> Result<Variable, String> {
    let known = v1::Variable::from_str_name(&format!("VARIABLE_{}", name.to_ascii_uppercase()));
    let known = known.filter(|_| name.bytes().all(|b| !b.is_ascii_uppercase()));
    known
        .and_then(|known| Variable::from_number(known as u32))
        .ok_or_else(|| format!("no variable is called {name:?}; the module ABI's names in lower case are known"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_variables_of_the_abi_have_their_number_in_the_protocol() {
        for known in Variable::ALL {
            let wire = v1::Variable::try_from(known as i32).expect("it is in the protocol");
            let name = wire.as_str_name().trim_start_matches("VARIABLE_").to_ascii_lowercase();
            assert_eq!(variable(&name), Ok(known), "{name}");
        }
        assert!(variable("METHOD").is_err());
        assert!(variable("unspecified").is_err());
    }
}
