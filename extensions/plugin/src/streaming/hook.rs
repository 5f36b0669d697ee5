//! Which hook of a stream is under way.

use sidegate_api::{BodyDirection, BodyInterest, EndOfStream, HeaderMapKind, ReceiverPhase};

use super::settings::Hooks;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    RequestHeaders(ReceiverPhase, EndOfStream),
    RequestBody(EndOfStream),
    RequestTrailers,
    ResponseHeaders(EndOfStream),
    ResponseBody(EndOfStream),
    ResponseTrailers,
}

impl Hook {
    /// Number of its field in `Event`.
    pub(crate) fn number(self) -> u8 {
        match self {
            Hook::RequestHeaders(..) => 3,
            Hook::RequestBody(_) => 4,
            Hook::RequestTrailers => 5,
            Hook::ResponseHeaders(_) => 6,
            Hook::ResponseBody(_) => 7,
            Hook::ResponseTrailers => 8,
        }
    }

    pub(crate) fn direction(self) -> BodyDirection {
        match self {
            Hook::RequestHeaders(..) | Hook::RequestBody(_) | Hook::RequestTrailers => BodyDirection::Request,
            Hook::ResponseHeaders(_) | Hook::ResponseBody(_) | Hook::ResponseTrailers => BodyDirection::Response,
        }
    }

    pub(crate) fn is_body(self) -> bool {
        matches!(self, Hook::RequestBody(_) | Hook::ResponseBody(_))
    }

    pub(crate) fn is_head(self) -> bool {
        matches!(self, Hook::RequestHeaders(..) | Hook::ResponseHeaders(_))
    }

    /// The fields that it is about.
    pub(crate) fn map(self) -> HeaderMapKind {
        match self {
            Hook::RequestHeaders(..) => HeaderMapKind::Request,
            Hook::RequestBody(_) | Hook::RequestTrailers => HeaderMapKind::RequestTrailers,
            Hook::ResponseHeaders(_) => HeaderMapKind::Response,
            Hook::ResponseBody(_) | Hook::ResponseTrailers => HeaderMapKind::ResponseTrailers,
        }
    }

    /// How the body comes that it is about.
    pub(crate) fn mode(self, hooks: &Hooks) -> BodyInterest {
        match self {
            Hook::RequestBody(_) => hooks.request_body,
            Hook::ResponseBody(_) => hooks.response_body,
            _ => BodyInterest::None,
        }
    }

    pub(crate) fn is_wanted(self, hooks: &Hooks) -> bool {
        match self {
            Hook::RequestHeaders(phase, _) => hooks.phases.has(phase),
            Hook::RequestBody(_) | Hook::ResponseBody(_) => self.mode(hooks) != BodyInterest::None,
            Hook::RequestTrailers => hooks.request_trailers,
            Hook::ResponseHeaders(_) => hooks.response_headers,
            Hook::ResponseTrailers => hooks.response_trailers,
        }
    }
}
