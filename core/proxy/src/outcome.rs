//! How attempts and streams end, and what follows from it, in one place.
//!
//! | an attempt's [`Outcome`] | told of the host | counted as | again? | the client gets |
//! |---|---|---|---|---|
//! | none: its response is whole | its status | whole | no | the response, or the tunnel's end |
//! | `Unreachable` | connect failure, unless it was for us | connect failed | another host | 502, 504, 503 |
//! | `Stale` | nothing | by host | same host, fresh connection | – |
//! | `NotProcessed` | nothing | by host | same host, then others, a few times | 502 |
//! | `Http1Required` | nothing | by host | same host, over HTTP/1.1 | 502 |
//! | `BadStatus` | its status | given up | the route's policy allowed it | – |
//! | `NoResponse` | reset | by host | by policy, if none had begun | 502 |
//! | `Broken` | nothing more | by host | no | a cut |
//! | `TimedOut` | timeout, if no head came | timed out | by policy, if time is left | 504, or a cut |
//! | `Stopped` | nothing | given up | no | what the [`Stop`] says |
//!
//! A status is told when its head comes: balancing by response times needs it
//! then. What becomes of the carrier is a third question:
//! [`End`](sidegate_stream::End).

use std::io::ErrorKind;

use sidegate_api::{LocalReply, Method, ResetBy, ResponseFlags};
use sidegate_net::Shortage;
use sidegate_stream::{BodyError, BodyFault, ClientError, End, Upstream};
use sidegate_upstream::HostReport;

/// How an attempt ended: what is to come of its carrier, or why there is no
/// whole response. Boxed, since it goes through many hands and most attempts
/// end well.
pub(crate) type Ended = Result<End, Failed>;

/// Why an attempt has failed.
pub(crate) type Failed = Box<Outcome>;

/// How an attempt ended that brought no whole response.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// There is no connection.
    Unreachable(Unreachable),
    /// A pooled connection was closed before the request reached anybody.
    Stale,
    /// The host says that nobody has looked at the request (RFC 9113 section
    /// 8.7), and all of it is still there.
    NotProcessed,
    /// The host wants the request over HTTP/1.1 (RFC 9113 section 7), and all of
    /// it is still there.
    Http1Required,
    /// The route wants this status tried again, and it can be.
    BadStatus,
    /// No response came.
    NoResponse(ClientError, Begun),
    /// The response broke off.
    Broken(BodyFault),
    /// The upstream did not go on in time.
    TimedOut(Bound),
    /// It ended for another's sake than the host's.
    Stopped(Stop),
}

/// Whether anything of a response was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    No,
    Yes,
}

/// What the time for a response belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Bound {
    /// All attempts together: there is no other after it.
    #[default]
    Request,
    /// This attempt.
    Attempt,
}

/// Why there is no connection to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// It refused, or there is no way to it.
    Refused,
    /// It did not answer within `connect_timeout`.
    TimedOut,
    /// It was not asked: we are out of something.
    Exhausted(Shortage),
}

/// What statistics call the end of a request to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// It did not come to one: we gave it up.
    GivenUp,
    /// With its whole response.
    Whole,
    /// The host broke it off, or answered what is no HTTP.
    ByHost,
    /// Its time was up.
    TimedOut,
}

/// Whether an attempt may be followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    No,
    /// At the same host on a fresh connection: nobody has seen anything.
    Fresh,
    /// Nobody has looked at it, which may be so again: not without end.
    Unseen,
    /// At the same host over HTTP/1.1.
    OverHttp1,
    /// At another host: this one cannot be reached.
    Elsewhere,
    /// As the route's policy says.
    ByPolicy,
    /// It was asked.
    Allowed,
}

/// What there is of a request after it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// All of it: it can be sent again.
    Kept,
    Lost,
}

impl Outcome {
    /// No response came to a request of this method.
    #[cold]
    pub(crate) fn no_response(error: ClientError, upstream: &Upstream, method: &Method, sent: Sent) -> Self {
        if matches!(error, ClientError::ClosedInHead | ClientError::Refused(_)) || upstream.is_answered() {
            return Outcome::NoResponse(error, Begun::Yes);
        }
        match (sent, error) {
            (Sent::Kept, ClientError::NotProcessed) => Outcome::NotProcessed,
            (Sent::Kept, ClientError::Http1Required) => Outcome::Http1Required,
            // A close that may have met the request on its way.
            (Sent::Kept, ClientError::ClosedBeforeResponse | ClientError::Io(_))
                if upstream.is_reused() && method.is_idempotent() =>
            {
                Outcome::Stale
            }
            (_, error) => Outcome::NoResponse(error, Begun::No),
        }
    }

    /// What balancing and ejection hear of the host at the end; `answered`:
    /// they have heard its status.
    pub(crate) fn told(&self, answered: bool) -> Option<HostReport> {
        match self {
            Outcome::NoResponse(..) => Some(HostReport::Reset),
            Outcome::TimedOut(_) if !answered => Some(HostReport::Timeout),
            Outcome::Unreachable(reason) => reason.told(),
            _ => None,
        }
    }

    /// What statistics call it.
    pub(crate) fn counted(&self) -> Counted {
        match self {
            Outcome::Stale
            | Outcome::NotProcessed
            | Outcome::Http1Required
            | Outcome::NoResponse(..)
            | Outcome::Broken(_) => Counted::ByHost,
            Outcome::TimedOut(_) => Counted::TimedOut,
            Outcome::Unreachable(_) | Outcome::BadStatus | Outcome::Stopped(_) => Counted::GivenUp,
        }
    }

    /// Whether there may be another attempt.
    pub(crate) fn again(&self) -> Again {
        match self {
            Outcome::Broken(_) | Outcome::Stopped(_) => Again::No,
            Outcome::Unreachable(reason) if reason.may_spare_others() => Again::Elsewhere,
            Outcome::Stale => Again::Fresh,
            Outcome::NotProcessed => Again::Unseen,
            Outcome::Http1Required => Again::OverHttp1,
            Outcome::BadStatus => Again::Allowed,
            Outcome::NoResponse(_, Begun::No) | Outcome::TimedOut(Bound::Attempt) => Again::ByPolicy,
            Outcome::Unreachable(_) | Outcome::NoResponse(_, Begun::Yes) | Outcome::TimedOut(Bound::Request) => {
                Again::No
            }
        }
    }

    /// What the stream makes of it if there is no other attempt.
    #[cold]
    pub(crate) fn last(self) -> Stop {
        match self {
            Outcome::Stopped(stop) => stop,
            Outcome::Unreachable(reason) => reason.stop(),
            Outcome::NoResponse(error, _) => Stop::no_response(error),
            Outcome::Broken(fault) => Stop::response_body(fault),
            Outcome::TimedOut(_) => Stop::upstream(504, "upstream_timeout", ResponseFlags::UPSTREAM_TIMEOUT),
            Outcome::NotProcessed => Stop::no_response(ClientError::NotProcessed),
            Outcome::Http1Required => Stop::no_response(ClientError::Http1Required),
            Outcome::Stale => Stop::no_response(ClientError::ClosedBeforeResponse),
            // Another attempt was allowed: one follows.
            Outcome::BadStatus => Stop::upstream(502, "upstream_reset", ResponseFlags::UPSTREAM_CLOSED),
        }
    }
}

impl From<Stop> for Failed {
    #[cold]
    fn from(stop: Stop) -> Self {
        Box::new(Outcome::Stopped(stop))
    }
}

impl From<Unreachable> for Failed {
    #[cold]
    fn from(reason: Unreachable) -> Self {
        Box::new(Outcome::Unreachable(reason))
    }
}

impl From<ErrorKind> for Unreachable {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::TimedOut => Unreachable::TimedOut,
            _ => Unreachable::Refused,
        }
    }
}

impl Unreachable {
    /// What the host has done, if it was asked.
    pub(crate) fn of_host(self) -> Option<ErrorKind> {
        match self {
            Unreachable::Refused => Some(ErrorKind::ConnectionRefused),
            Unreachable::TimedOut => Some(ErrorKind::TimedOut),
            Unreachable::Exhausted(_) => None,
        }
    }

    /// What is heard of the host.
    pub(crate) fn told(self) -> Option<HostReport> {
        match self {
            Unreachable::Refused | Unreachable::TimedOut => Some(HostReport::ConnectFailure),
            Unreachable::Exhausted(_) => None,
        }
    }

    /// Whether another host may do better. Ports are counted per host; the
    /// rest is short for all.
    fn may_spare_others(self) -> bool {
        !matches!(self, Unreachable::Exhausted(Shortage::Descriptors | Shortage::Memory))
    }

    fn stop(self) -> Stop {
        match self {
            Unreachable::Refused => Stop::upstream(502, "upstream_connect_failed", ResponseFlags::UPSTREAM_CONNECT),
            Unreachable::TimedOut => Stop::upstream(504, "upstream_connect_timeout", ResponseFlags::UPSTREAM_CONNECT),
            Unreachable::Exhausted(shortage) => {
                let details = match shortage {
                    Shortage::Descriptors => "out_of_descriptors",
                    Shortage::Memory => "out_of_memory",
                    Shortage::Ports => "out_of_ports",
                };
                Stop::error(503, details, ResponseFlags::EXHAUSTED, ResetBy::Nobody)
            }
        }
    }
}

/// How a stream leaves its regular way.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Answer with this; if the response has begun, cut it instead.
    Reply(Box<LocalReply>, Blame),
    /// Close without a (further) reply.
    Cut(Blame),
    /// Everybody gets a regular end: whether a message was cut is for the
    /// protocol inside to say.
    Finish(Blame),
}

/// Who brought it about, and what logs call it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blame {
    pub(crate) by: ResetBy,
    pub(crate) flag: ResponseFlags,
    pub(crate) details: &'static str,
}

impl Stop {
    /// A reply of our own.
    pub(crate) fn reply(reply: Box<LocalReply>, flag: ResponseFlags, by: ResetBy) -> Self {
        let blame = Blame { by, flag, details: reply.details };
        Stop::Reply(reply, blame)
    }

    /// The same, which says what failed.
    #[cold]
    pub(crate) fn error(status: u16, details: &'static str, flag: ResponseFlags, by: ResetBy) -> Self {
        let mut reply = LocalReply::text(status, details, details);
        reply.body.push(b'\n');
        Stop::Reply(Box::new(reply), Blame { by, flag, details })
    }

    /// A reply that a filter made.
    pub(crate) fn filter_reply(reply: Box<LocalReply>) -> Self {
        Stop::reply(reply, ResponseFlags::FILTER_REPLY, ResetBy::Nobody)
    }

    /// No reply.
    #[cold]
    pub(crate) fn cut(by: ResetBy, flag: ResponseFlags, details: &'static str) -> Self {
        Stop::Cut(Blame { by, flag, details })
    }

    /// The upstream failed before its response was there.
    #[cold]
    pub(crate) fn upstream(status: u16, details: &'static str, flag: ResponseFlags) -> Self {
        Stop::error(status, details, flag, ResetBy::Upstream)
    }

    /// The client closed or failed.
    pub(crate) fn client_gone() -> Self {
        Stop::cut(ResetBy::Downstream, ResponseFlags::DOWNSTREAM_CLOSED, "client_closed")
    }

    /// The client did not take its response in time.
    pub(crate) fn client_takes_nothing() -> Self {
        Stop::cut(ResetBy::Downstream, ResponseFlags::DOWNSTREAM_TIMEOUT, "response_write_timeout")
    }

    /// Nothing went through a tunnel for too long.
    #[cold]
    pub(crate) fn tunnel_idle() -> Self {
        let (by, flag) = (ResetBy::Proxy, ResponseFlags::DOWNSTREAM_TIMEOUT);
        Stop::Finish(Blame { by, flag, details: "tunnel_idle_timeout" })
    }

    /// Something of the process's own is short.
    #[cold]
    pub(crate) fn overload(shortage: sidegate_overload::Shortage) -> Self {
        Stop::error(503, shortage.details(), ResponseFlags::OVERLOAD, ResetBy::Nobody)
    }

    /// The request body could not be read.
    #[cold]
    pub(crate) fn request_body(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Io(_) => Stop::client_gone(),
            // It may have closed its side only, and still read.
            BodyFault::Closed => {
                Stop::error(400, "client_closed_in_body", ResponseFlags::DOWNSTREAM_CLOSED, ResetBy::Downstream)
            }
            BodyFault::Refused(BodyError { status: 413, details }) => {
                Stop::error(413, details, ResponseFlags::TOO_LARGE, ResetBy::Downstream)
            }
            BodyFault::Refused(BodyError { status, details }) => {
                Stop::error(status, details, ResponseFlags::DOWNSTREAM_PROTOCOL, ResetBy::Downstream)
            }
        }
    }

    /// The response body could not be read.
    #[cold]
    fn response_body(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Io(_) => Stop::upstream(502, "upstream_reset", ResponseFlags::UPSTREAM_CLOSED),
            BodyFault::Closed => Stop::upstream(502, "upstream_closed_in_body", ResponseFlags::UPSTREAM_CLOSED),
            BodyFault::Refused(error) => Stop::upstream(502, error.details, ResponseFlags::UPSTREAM_PROTOCOL),
        }
    }

    #[cold]
    fn no_response(error: ClientError) -> Self {
        let (details, flag) = match error {
            ClientError::ClosedBeforeResponse => ("upstream_closed_before_response", ResponseFlags::UPSTREAM_CLOSED),
            ClientError::ClosedInHead => ("upstream_closed_in_head", ResponseFlags::UPSTREAM_CLOSED),
            ClientError::Refused(error) => (error.details, ResponseFlags::UPSTREAM_PROTOCOL),
            ClientError::Http1Required => ("upstream_requires_http1", ResponseFlags::UPSTREAM_PROTOCOL),
            ClientError::NotProcessed => ("upstream_refused", ResponseFlags::UPSTREAM_CLOSED),
            ClientError::Reset | ClientError::Io(_) => ("upstream_reset", ResponseFlags::UPSTREAM_CLOSED),
        };
        Stop::upstream(502, details, flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_the_table_holds() {
        let gone = || ClientError::ClosedBeforeResponse;

        let rows = [
            (
                Outcome::Unreachable(Unreachable::Refused),
                Some(HostReport::ConnectFailure),
                Counted::GivenUp,
                Again::Elsewhere,
            ),
            (Outcome::Unreachable(Unreachable::Exhausted(Shortage::Ports)), None, Counted::GivenUp, Again::Elsewhere),
            (Outcome::Unreachable(Unreachable::Exhausted(Shortage::Memory)), None, Counted::GivenUp, Again::No),
            (Outcome::Stale, None, Counted::ByHost, Again::Fresh),
            (Outcome::NotProcessed, None, Counted::ByHost, Again::Unseen),
            (Outcome::Http1Required, None, Counted::ByHost, Again::OverHttp1),
            (Outcome::BadStatus, None, Counted::GivenUp, Again::Allowed),
            (Outcome::NoResponse(gone(), Begun::No), Some(HostReport::Reset), Counted::ByHost, Again::ByPolicy),
            (Outcome::NoResponse(gone(), Begun::Yes), Some(HostReport::Reset), Counted::ByHost, Again::No),
            (Outcome::Broken(BodyFault::Closed), None, Counted::ByHost, Again::No),
            (Outcome::TimedOut(Bound::Attempt), Some(HostReport::Timeout), Counted::TimedOut, Again::ByPolicy),
            (Outcome::TimedOut(Bound::Request), Some(HostReport::Timeout), Counted::TimedOut, Again::No),
            (Outcome::Stopped(Stop::client_gone()), None, Counted::GivenUp, Again::No),
        ];
        for (outcome, told, counted, again) in rows {
            assert_eq!(format!("{:?}", outcome.told(false)), format!("{told:?}"), "{outcome:?}");
            assert_eq!((outcome.counted(), outcome.again()), (counted, again), "{outcome:?}");
        }
        assert!(Outcome::TimedOut(Bound::Request).told(true).is_none());
    }

    #[test]
    fn what_the_loops_hand_on_is_small() {
        let words = |bytes: usize| bytes.div_ceil(size_of::<usize>());
        assert!(words(size_of::<Stop>()) <= 4, "{}", size_of::<Stop>());
        assert!(words(size_of::<Ended>()) <= 2, "{}", size_of::<Ended>());
    }
}
