//! How a stream leaves its regular way, and whose fault it was.

use sidegate_api::{LocalReply, ResetBy, ResponseFlags};
use sidegate_overload::Shortage;
use sidegate_stream::{BodyError, BodyFault};

/// The stream does not go on as planned.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Answer with this; if the response has begun, cut it instead.
    Reply(Box<LocalReply>, ResponseFlags, ResetBy),
    /// Close without a (further) reply.
    Cut(ResetBy, ResponseFlags, &'static str),
}

impl Stop {
    /// A reply of the proxy's own.
    pub(crate) fn error(status: u16, details: &'static str, flag: ResponseFlags, by: ResetBy) -> Self {
        let mut reply = LocalReply::text(status, details, details);
        reply.body.push(b'\n');
        Stop::Reply(Box::new(reply), flag, by)
    }

    /// A reply that a filter made.
    pub(crate) fn filter_reply(reply: Box<LocalReply>) -> Self {
        Stop::Reply(reply, ResponseFlags::FILTER_REPLY, ResetBy::Nobody)
    }

    /// The upstream failed before its response was there.
    pub(crate) fn upstream(status: u16, details: &'static str, flag: ResponseFlags) -> Self {
        Stop::error(status, details, flag, ResetBy::Upstream)
    }

    /// The client closed or failed.
    pub(crate) fn client_gone() -> Self {
        Stop::Cut(ResetBy::Downstream, ResponseFlags::DOWNSTREAM_CLOSED, "client_closed")
    }

    /// The client did not take its response in time.
    pub(crate) fn client_takes_nothing() -> Self {
        Stop::Cut(ResetBy::Downstream, ResponseFlags::DOWNSTREAM_TIMEOUT, "response_write_timeout")
    }

    /// The upstream did not go on in time.
    pub(crate) fn upstream_stalled() -> Self {
        Stop::upstream(504, "upstream_timeout", ResponseFlags::UPSTREAM_TIMEOUT)
    }

    /// Something of the process's own is short.
    pub(crate) fn overload(shortage: Shortage) -> Self {
        Stop::error(503, shortage.details(), ResponseFlags::OVERLOAD, ResetBy::Nobody)
    }

    /// The request body could not be read.
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
    pub(crate) fn response_body(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Io(_) => Stop::upstream(502, "upstream_reset", ResponseFlags::UPSTREAM_CLOSED),
            BodyFault::Closed => Stop::upstream(502, "upstream_closed_in_body", ResponseFlags::UPSTREAM_CLOSED),
            BodyFault::Refused(error) => Stop::upstream(502, error.details, ResponseFlags::UPSTREAM_PROTOCOL),
        }
    }
}
