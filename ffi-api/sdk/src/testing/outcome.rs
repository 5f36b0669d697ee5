//! What became of a stream.

use std::fmt;

use crate::{HostError, Phase};

/// What became of a stream.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # #[derive(serde::Deserialize)] struct Mark {}
/// # impl RequestFilter for Mark {
/// #   fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
/// #       cx.headers_mut().set("x-mark", "1")?;
/// #       cx.set_named("mark", "1")?;
/// #       let _ = cx.headers_mut().remove("te");
/// #       Ok(Status::Continue)
/// #   }
/// # }
/// # let host = TestHost::new::<Mark>(serde_json::json!({})).unwrap();
/// let outcome = host.request("GET", "/", &[]).run();
/// assert_eq!(outcome.hooks(), ["on_request_headers", "destroy"]);
/// assert_eq!(
///     outcome.did(),
///     [
///         "on_request_headers: set request header x-mark: 1",
///         "on_request_headers: set named mark = 1",
///         "on_request_headers: remove request header te (framing and hop-by-hop fields belong to the host)",
///     ]
/// );
/// assert_eq!((outcome.status(), outcome.named("mark")), (Some(200), Some("1")));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Every call of the filter in order, `on_complete` and `destroy` included.
    pub calls: Vec<Call>,
    /// The request as the upstream got it; `None` if it got none.
    pub upstream: Option<Request>,
    /// The response as the client got it; `None` if the stream was closed.
    pub response: Option<Response>,
    /// Why the filter failed, if it did.
    pub fault: Option<String>,
    /// Everything the filter changed or tried to change, in order.
    pub actions: Vec<Action>,
    /// The variables that filters share, at the end.
    pub named: Vec<(String, Vec<u8>)>,
}

impl Outcome {
    /// Names of the hooks that were called, in order.
    pub fn hooks(&self) -> Vec<&'static str> {
        self.calls.iter().map(|call| call.hook).collect()
    }

    /// The actions as text, one line each.
    pub fn did(&self) -> Vec<String> {
        self.actions.iter().map(Action::to_string).collect()
    }

    /// Status that the client got.
    pub fn status(&self) -> Option<u16> {
        self.response.as_ref().map(|response| response.status)
    }

    /// Value of a variable that filters share, if it is text.
    pub fn named(&self, name: &str) -> Option<&str> {
        let (_, value) = self.named.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }
}

/// Something a filter changed or tried to change.
///
/// ```
/// # use sidegate_sdk::{testing::Action, HostError};
/// let refused = Action { hook: "on_resume", what: "set named x = 1".to_owned(), result: Err(HostError::Limit) };
/// assert_eq!(refused.to_string(), "on_resume: set named x = 1 (limit reached)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Name of the hook that did it.
    pub hook: &'static str,
    /// What it asked for, such as `set request header x-a: 1`.
    pub what: String,
    /// What the host answered.
    pub result: Result<(), HostError>,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.hook, self.what)?;
        match self.result {
            Ok(()) => Ok(()),
            Err(error) => write!(f, " ({error})"),
        }
    }
}

/// One call of a filter.
///
/// ```
/// # use sidegate_sdk::{testing::{Call, Outcome}, Phase};
/// fn ran_after_route(outcome: &Outcome) -> bool {
///     outcome.calls.iter().any(|call: &Call| call.phase == Phase::AfterRoute)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Name of the hook.
    pub hook: &'static str,
    /// Phase it ran in.
    pub phase: Phase,
    /// The number it returned, `STATUS_*` of the ABI; `None` if it returns
    /// nothing.
    pub status: Option<u32>,
}

/// Where a response came from.
///
/// ```
/// # use sidegate_sdk::testing::{Outcome, Source};
/// fn was_refused(outcome: &Outcome) -> bool {
///     outcome.response.as_ref().is_some_and(|response| response.source == Source::Filter)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// The upstream.
    #[default]
    Upstream,
    /// The filter's reply.
    Filter,
    /// The host, because the filter failed.
    Fault,
}

/// A request as the upstream got it.
///
/// ```
/// # use sidegate_sdk::testing::{Outcome, Request};
/// fn tenant(outcome: &Outcome) -> Option<&str> {
///     outcome.upstream.as_ref().and_then(|request: &Request| request.header("x-tenant"))
/// }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Host and port.
    pub authority: String,
    /// Fields in order, without `host`.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers in order.
    pub trailers: Vec<(String, String)>,
}

impl Request {
    /// Value of the first field `name`, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// The body, if it is text.
    pub fn text(&self) -> &str {
        text(&self.body)
    }
}

/// A response as the client got it.
///
/// ```
/// # use sidegate_sdk::testing::{Outcome, Response};
/// fn is_json(outcome: &Outcome) -> bool {
///     let kind = outcome.response.as_ref().and_then(|response: &Response| response.header("content-type"));
///     kind == Some("application/json")
/// }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// Where it came from.
    pub source: Source,
    /// Status.
    pub status: u16,
    /// Fields in order, without framing.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers in order.
    pub trailers: Vec<(String, String)>,
}

impl Response {
    /// Value of the first field `name`, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// The body, if it is text.
    pub fn text(&self) -> &str {
        text(&self.body)
    }
}

fn text(body: &[u8]) -> &str {
    std::str::from_utf8(body).unwrap_or("(not UTF-8)")
}

fn first<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}
