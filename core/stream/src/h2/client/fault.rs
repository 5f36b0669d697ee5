//! Why a stream failed, in the words of requests and bodies.

use std::io::{self, ErrorKind};

use h2::Reason;
use sidegate_protocol::http1::{BodyError, ResponseError};

use crate::{BodyFault, ClientError};

/// Why a stream failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The host says that it has not looked at the request (RFC 9113 section
    /// 8.7), or it never left us.
    NotProcessed,
    /// The host wants it in HTTP/1.1 (RFC 9113 section 7).
    Http1Required,
    /// The response's head is above `SETTINGS_MAX_HEADER_LIST_SIZE`.
    HeadTooLarge,
    /// The host reset the stream.
    Reset(Reason),
    /// The host broke the protocol, on this stream or for all of them.
    Protocol,
    /// What came of the body is not what was announced or allowed.
    Body(BodyError),
    /// A part of the request cannot be said in HTTP/2.
    Unsendable(&'static str),
    /// The host closed the connection.
    Closed,
    /// The connection failed.
    Io(ErrorKind),
}

impl Fault {
    /// What an error of the `h2` crate means for a stream that was begun.
    #[cold]
    pub(super) fn of(error: &h2::Error) -> Self {
        if let Some(error) = error.get_io() {
            return match error.kind() {
                // What `h2` makes of an end without GOAWAY.
                ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => Fault::Closed,
                kind => Fault::Io(kind),
            };
        }
        match error.reason() {
            Some(Reason::HTTP_1_1_REQUIRED) if error.is_remote() => Fault::Http1Required,
            // Only streams above the last one of a GOAWAY hear of it.
            _ if error.is_go_away() && error.is_remote() => Fault::NotProcessed,
            Some(Reason::REFUSED_STREAM) if error.is_remote() => Fault::NotProcessed,
            Some(reason) if error.is_remote() => Fault::Reset(reason),
            _ => Fault::Protocol,
        }
    }

    pub(super) fn into_client_error(self) -> ClientError {
        match self {
            Fault::NotProcessed => ClientError::NotProcessed,
            Fault::Http1Required => ClientError::Http1Required,
            Fault::HeadTooLarge => ClientError::Refused(ResponseError { details: "headers_too_large" }),
            Fault::Reset(_) => ClientError::Reset,
            Fault::Protocol => ClientError::Refused(ResponseError { details: "http2_protocol_error" }),
            Fault::Body(error) => ClientError::Refused(ResponseError { details: error.details }),
            Fault::Unsendable(part) => ClientError::Io(io::Error::new(ErrorKind::InvalidInput, part)),
            Fault::Closed => ClientError::ClosedBeforeResponse,
            Fault::Io(kind) => ClientError::Io(kind.into()),
        }
    }

    pub(super) fn into_body_fault(self) -> BodyFault {
        match self {
            Fault::Body(error) => BodyFault::Refused(error),
            Fault::Protocol => BodyFault::Refused(BodyError { status: 400, details: "http2_protocol_error" }),
            Fault::HeadTooLarge => BodyFault::Refused(BodyError { status: 400, details: "trailers_too_large" }),
            Fault::NotProcessed | Fault::Http1Required | Fault::Reset(_) => {
                BodyFault::Io(ErrorKind::ConnectionReset.into())
            }
            Fault::Unsendable(part) => BodyFault::Io(io::Error::new(ErrorKind::InvalidInput, part)),
            Fault::Closed => BodyFault::Closed,
            Fault::Io(kind) => BodyFault::Io(kind.into()),
        }
    }
}
