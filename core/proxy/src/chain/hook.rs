//! The hooks of a filter, as the chain calls them.

use sidegate_api::{BodyDirection, EndOfStream, ReceiverPhase};
use sidegate_watch::Hook as At;

/// Which hook to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    RequestHeaders(ReceiverPhase, EndOfStream),
    RequestBody(EndOfStream),
    RequestTrailers,
    ResponseHeaders(EndOfStream),
    ResponseBody(EndOfStream),
    ResponseTrailers,
    /// In place of the hook that was pending.
    Resume(ResumeOf),
}

/// What a resumed hook stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResumeOf {
    /// A header or trailer hook in this phase, if it is a receiver's.
    Head(Option<ReceiverPhase>),
    /// A body hook.
    Body(BodyDirection),
}

impl Hook {
    /// The body that the hook sees.
    pub(crate) fn body(self) -> Option<BodyDirection> {
        match self {
            Hook::RequestBody(_) | Hook::Resume(ResumeOf::Body(BodyDirection::Request)) => Some(BodyDirection::Request),
            Hook::ResponseBody(_) | Hook::Resume(ResumeOf::Body(BodyDirection::Response)) => {
                Some(BodyDirection::Response)
            }
            _ => None,
        }
    }

    /// Where the hook's message goes; `None` if a resume does not tell.
    pub(crate) fn direction(self) -> Option<BodyDirection> {
        match self {
            Hook::RequestHeaders(..)
            | Hook::RequestBody(_)
            | Hook::RequestTrailers
            | Hook::Resume(ResumeOf::Body(BodyDirection::Request) | ResumeOf::Head(Some(_))) => {
                Some(BodyDirection::Request)
            }
            Hook::ResponseHeaders(_)
            | Hook::ResponseBody(_)
            | Hook::ResponseTrailers
            | Hook::Resume(ResumeOf::Body(BodyDirection::Response)) => Some(BodyDirection::Response),
            Hook::Resume(ResumeOf::Head(None)) => None,
        }
    }

    /// What a thread is marked with meanwhile.
    pub(crate) fn at(self) -> At {
        match self {
            Hook::RequestHeaders(..) => At::RequestHeaders,
            Hook::RequestBody(_) => At::RequestBody,
            Hook::RequestTrailers => At::RequestTrailers,
            Hook::ResponseHeaders(_) => At::ResponseHeaders,
            Hook::ResponseBody(_) => At::ResponseBody,
            Hook::ResponseTrailers => At::ResponseTrailers,
            Hook::Resume(_) => At::Resume,
        }
    }

    /// The phase, for header hooks of receivers.
    pub(crate) fn receiver_phase(self) -> Option<ReceiverPhase> {
        match self {
            Hook::RequestHeaders(phase, _) => Some(phase),
            Hook::Resume(ResumeOf::Head(phase)) => phase,
            _ => None,
        }
    }

    /// The hook that a resume calls in its place.
    pub(crate) fn resumed(self) -> Hook {
        match self {
            Hook::Resume(_) => self,
            _ => match self.body() {
                Some(direction) => Hook::Resume(ResumeOf::Body(direction)),
                None => Hook::Resume(ResumeOf::Head(self.receiver_phase())),
            },
        }
    }
}
