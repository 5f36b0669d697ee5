//! Whether a request may be sent again, and how long everything may take.

use std::time::Duration;

use sidegate_api::{HeadState, Headers};
use sidegate_protocol::http1::{BodyLength, Expect};
use sidegate_upstream::{Cluster, Permit};

use crate::kept::Kept;
use crate::relay::{Attempt, Upload};
use crate::stream::Stream;

/// What a stream knows of its attempts. Without a policy of the route it
/// allows none but those that need none.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    /// Attempts that the route's policy still allows.
    pub(crate) left: u32,
    /// How long one attempt may wait for its response.
    pub(crate) per_try: Option<Duration>,
    /// What the client asked for by `x-mosn-global-timeout`.
    pub(crate) asked: Option<Duration>,
    /// How long former attempts took in vain.
    pub(crate) spent: Duration,
    /// How the body was announced at first.
    pub(crate) framing: Option<BodyLength>,
    /// What former attempts sent of it.
    pub(crate) kept: Kept,
    /// Where the body goes on behind that; there if there was an attempt.
    pub(crate) rest: Option<Upload>,
    /// Held by an attempt that is not the first.
    permit: Option<Permit>,
}

impl Stream<'_> {
    /// Takes over what the route, and the client, say of attempts.
    pub(crate) fn begin_attempts(&mut self) {
        self.retry = Retry::default();
        let matched = self.route.and_then(|(id, _)| self.listener.config.routes.matched(id));
        if let Some(policy) = matched.and_then(|matched| matched.retry()) {
            self.retry.per_try = policy.per_try_timeout;
            if self.state.request.method.is_idempotent() {
                self.retry.left = policy.retries;
                if self.has_request_body() {
                    self.retry.kept = Kept::All(Vec::new());
                }
            }
        }
        self.read_timeouts();
    }

    /// `x-mosn-global-timeout` and `x-mosn-try-timeout`, in milliseconds.
    fn read_timeouts(&mut self) {
        let headers = &self.state.request.headers;
        // One walk over the names for the usual request, which has neither.
        if !headers.iter().any(|(name, _)| name.starts_with(b"x-mosn-")) {
            return;
        }
        self.retry.asked = milliseconds(headers, b"x-mosn-global-timeout");
        // A client may be less patient than the route, not more: whoever
        // bounded the route meant it.
        let per_try = milliseconds(headers, b"x-mosn-try-timeout");
        self.retry.per_try = self.retry.per_try.into_iter().chain(per_try).min();
    }

    /// Whether this status is one that the route wants tried again.
    pub(crate) fn is_failure(&self, status: u16) -> bool {
        let matched = self.route.and_then(|(id, _)| self.listener.config.routes.matched(id));
        matched.and_then(|matched| matched.retry()).is_some_and(|policy| policy.wants(status))
    }

    /// Whether another attempt may follow, which is then counted: the policy
    /// has one left, everything sent is still there, the client has seen
    /// nothing, there is time, and the cluster has room for a retry.
    pub(crate) fn may_try_again(&mut self, cluster: &Cluster, attempt: &Attempt) -> bool {
        let lost = matches!(self.retry.kept, Kept::TooMuch);
        let spent = self.retry.spent + attempt.started().elapsed();
        let late = self.response_timeout().is_some_and(|timeout| spent >= timeout);
        if self.retry.left == 0 || lost || late || self.sent_status != 0 {
            return false;
        }
        self.retry.permit = None;
        match cluster.breakers().retry() {
            Ok(permit) => {
                self.retry.permit = Some(permit);
                self.retry.left -= 1;
                self.retry.spent = spent;
                true
            }
            Err(overflow) => {
                tracing::debug!(cluster = &**cluster.name(), %overflow, "no retry");
                false
            }
        }
    }

    /// Whether what was sent can be sent again on a connection that was found
    /// closed: nobody has seen it, so that needs no policy.
    pub(crate) fn can_repeat(&self) -> bool {
        let whole = !self.has_request_body() || matches!(self.retry.kept, Kept::All(_));
        whole && self.state.request.method.is_idempotent()
    }

    /// Makes the stream as it was before `attempt`, but for the body, which
    /// goes on where it stands once what was sent is sent again.
    pub(crate) fn rewind(&mut self, attempt: &Attempt) {
        let rest = attempt.rest();
        if rest != Upload::Reading || !self.retry.kept.bytes().is_empty() {
            // The client does not wait for a go-ahead any more.
            self.meta.expect = Expect::None;
        }
        self.retry.rest = Some(rest);
        self.state.request.state = HeadState::Open;
        self.state.response.status = 0;
        self.state.response.headers.clear();
        self.state.response_trailers.clear();
        self.state.info.upstream_us = None;
    }
}

fn milliseconds(headers: &Headers, name: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(headers.get(name)?).ok()?;
    text.parse().ok().filter(|milliseconds| *milliseconds > 0).map(Duration::from_millis)
}
