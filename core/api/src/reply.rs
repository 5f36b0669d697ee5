//! Replies that the proxy or a filter makes itself.

use std::fmt;

use crate::{EditError, FaultKind, FilterFault, Headers, Status};

/// A whole response made on this side: by a filter, by a route
/// (`direct_response`, `redirect`) or by the proxy for an error. It passes the
/// response filters like one from upstream.
#[derive(Debug, Default)]
pub struct LocalReply {
    /// 200 to 599.
    pub status: u16,
    /// Fields to send; framing fields are added by the codec.
    pub headers: Headers,
    /// Body bytes; dropped by the codec where the status or HEAD forbids them.
    pub body: Vec<u8>,
    /// Why, for the access log (`%response_details%`); never sent.
    pub details: &'static str,
}

impl LocalReply {
    /// A reply without headers and body.
    pub fn new(status: u16, details: &'static str) -> Self {
        LocalReply { status, details, ..Default::default() }
    }

    /// A plain-text reply.
    pub fn text(status: u16, details: &'static str, body: &str) -> Self {
        let mut reply = LocalReply::new(status, details);
        // A fresh map has room for one short field.
        let _ = reply.headers.add(b"content-type", b"text/plain; charset=utf-8");
        reply.body = body.as_bytes().to_vec();
        reply
    }
}

/// The last reply that a filter set in a hook: it decides what may follow.
#[derive(Debug, Default)]
pub enum SetReply {
    /// None was set.
    #[default]
    None,
    /// It goes out if the hook answers `Stop`.
    Taken(Box<LocalReply>),
    /// The proxy did not take it.
    Refused(Box<RefusedReply>),
}

/// Why a filter's reply was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedReply {
    /// What of it: `status 700`, `field \`x-a\`` and the like. Printable, and
    /// without values of fields, which may be secret.
    pub part: String,
    /// What is wrong with that.
    pub reason: String,
}

impl RefusedReply {
    /// `part` of a reply is wrong because of `reason`.
    pub fn new(part: impl Into<String>, reason: impl ToString) -> Self {
        RefusedReply { part: part.into(), reason: reason.to_string() }
    }

    /// The same for the header field `name`.
    pub fn field(name: &[u8], reason: EditError) -> Self {
        const SHOWN: usize = 64;
        let more = if name.len() > SHOWN { "..." } else { "" };
        let name = name.get(..SHOWN).unwrap_or(name);
        RefusedReply::new(format!("field `{}{more}`", name.escape_ascii()), reason)
    }
}

impl fmt::Display for RefusedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its call `reply` was refused: {}: {}", self.part, self.reason)
    }
}

impl SetReply {
    /// The reply to send, if there is one.
    pub fn take(&mut self) -> Option<Box<LocalReply>> {
        match std::mem::take(self) {
            SetReply::Taken(reply) => Some(reply),
            SetReply::None | SetReply::Refused(_) => None,
        }
    }

    /// The fault of a hook that set this reply and answered `status`, if the
    /// two do not go together. A filter that wanted to answer must not let
    /// anything pass: no policy softens that fault.
    #[inline]
    pub fn contradicts(&self, status: &Status) -> Option<FilterFault> {
        match self {
            SetReply::None => None,
            SetReply::Taken(_) | SetReply::Refused(_) => self.weigh(status),
        }
    }

    #[cold]
    fn weigh(&self, status: &Status) -> Option<FilterFault> {
        let what = match (self, status) {
            (_, Status::Fault(FilterFault { kind: FaultKind::Closed, .. })) => return None,
            (SetReply::None, _) | (SetReply::Taken(_), Status::Stop | Status::Terminate) => return None,
            (SetReply::Taken(reply), _) => format!("its reply {} was dropped", reply.status),
            (SetReply::Refused(refused), _) => refused.to_string(),
        };
        Some(FilterFault::closed(match status {
            Status::Fault(fault) => format!("{what}; then it failed: {fault}"),
            _ => format!("{what}; then the hook answered {}", status.name()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_does_not_go_out_is_a_fault_of_its_own_kind() {
        let taken = || SetReply::Taken(Box::new(LocalReply::new(403, "test")));
        let refused = || SetReply::Refused(Box::new(RefusedReply::new("status 99", "expected 200 to 599")));
        let all = || {
            [
                Status::Continue,
                Status::Stop,
                Status::Pending,
                Status::Terminate,
                Status::RematchRoute,
                Status::RechooseHost,
                Status::Fault(FilterFault::new("x")),
            ]
        };
        for status in all() {
            assert!(SetReply::None.contradicts(&status).is_none());
            let sent = matches!(status, Status::Stop | Status::Terminate);
            assert_eq!(taken().contradicts(&status).is_none(), sent, "{status:?}");
            let fault = refused().contradicts(&status).unwrap();
            assert_eq!(fault.kind, FaultKind::Closed);
            assert!(fault.message.starts_with("its call `reply` was refused: status 99: expected 200 to 599; then "));
            assert!(refused().contradicts(&Status::Fault(fault)).is_none(), "it is told once");
        }
    }

    #[test]
    fn names_are_shown_escaped_and_cut() {
        let refused = RefusedReply::field(b"x\r\n`\xff", EditError::Limit);
        assert_eq!(refused.part, "field `x\\r\\n`\\xff`");
        assert!(RefusedReply::field(&[b'a'; 70], EditError::Limit).part.ends_with("aaa...`"));
    }
}
