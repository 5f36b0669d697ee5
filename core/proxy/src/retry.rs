//! Whether a request may be sent again, and how long everything may take.

use std::time::Duration;

use sidegate_api::{BodyDirection, HeadState};
use sidegate_stream::{Announced, Expect};
use sidegate_upstream::{Cluster, RetryPermit};

use crate::kept::Kept;
use crate::relay::{Attempt, Upload};
use crate::stream::Stream;

/// What a stream knows of its attempts. Without a policy of the route it
/// allows none but those that need none.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    /// Attempts that the route's policy still allows.
    pub(crate) left: u32,
    /// How long the upstream may be silent; for heads, over all attempts.
    pub(crate) response: Option<Duration>,
    /// How long one attempt may wait for its response.
    pub(crate) per_try: Option<Duration>,
    /// How the body was announced at first.
    pub(crate) announced: Option<Announced>,
    /// What was sent of it.
    pub(crate) kept: Kept,
    /// What former attempts left; apart, since most streams have none.
    former: Option<Box<Former>>,
}

/// What there is after a first attempt.
#[derive(Debug, Default)]
struct Former {
    /// How long attempts took in vain.
    spent: Duration,
    /// Where the body goes on behind what was kept.
    rest: Option<Upload>,
    /// For an attempt that is not the first.
    permit: Option<RetryPermit>,
}

impl Retry {
    /// For attempts under another route's policy.
    fn begin_anew(&mut self, response: Option<Duration>) {
        (self.left, self.response, self.per_try) = (0, response, None);
        if let Some(former) = &mut self.former {
            // Room for a retry at a cluster that is not asked again.
            former.permit = None;
        }
    }

    /// How long former attempts took in vain.
    pub(crate) fn spent(&self) -> Duration {
        self.former.as_ref().map_or(Duration::ZERO, |former| former.spent)
    }

    /// Time passed that no attempt can use.
    pub(crate) fn spend(&mut self, time: Duration) {
        self.former.get_or_insert_default().spent += time;
    }

    /// An attempt is on its way.
    pub(crate) fn sent(&mut self) {
        if let Some(permit) = self.former.as_mut().and_then(|former| former.permit.as_mut()) {
            permit.sent();
        }
    }

    /// Where the body goes on, if there was an attempt before.
    pub(crate) fn take_rest(&mut self) -> Option<Upload> {
        self.former.as_mut()?.rest.take()
    }
}

impl Stream<'_> {
    /// Takes over what the route, and the client, say of attempts and copies.
    /// What was sent before the route was matched again stays: it is not on
    /// the client's connection any more.
    pub(crate) fn begin_attempts(&mut self) {
        let matched = self.matched();
        let of_route = matched.and_then(|matched| matched.timeout());
        self.retry.begin_anew(of_route.or(self.listener.config.timeouts.response));
        if let Some(policy) = matched.and_then(|matched| matched.retry()) {
            self.retry.per_try = policy.per_try_timeout;
            if self.state.request.method.is_idempotent() {
                self.retry.left = policy.retries;
                let has_body = self.has_request_body() || self.edits(BodyDirection::Request);
                if has_body && matches!(self.retry.kept, Kept::Nothing) {
                    self.begin_to_keep();
                }
            }
        }
        // A client may be less patient than the route, not more: whoever
        // bounded the route meant it.
        let headers = &self.state.request.headers;
        if let Some(asked) = headers.get(b"x-mosn-global-timeout").and_then(milliseconds) {
            self.retry.response = Some(self.retry.response.map_or(asked, |configured| configured.min(asked)));
        }
        if let Some(asked) = headers.get(b"x-mosn-try-timeout").and_then(milliseconds) {
            self.retry.per_try = Some(self.retry.per_try.map_or(asked, |configured| configured.min(asked)));
        }
        self.mirror = None;
        if let Some(policy) = matched.and_then(|matched| matched.mirror()) {
            self.begin_mirror(policy);
        }
    }

    /// Whether this status is one that the route wants tried again.
    pub(crate) fn is_failure(&self, status: u16) -> bool {
        let matched = self.matched();
        matched.and_then(|matched| matched.retry()).is_some_and(|policy| policy.wants(status))
    }

    /// Whether another attempt may follow, which is then counted: the policy
    /// has one left, everything sent is still there, the client has seen
    /// nothing, there is time, and the cluster has room for a retry.
    pub(crate) fn may_try_again(&mut self, cluster: &Cluster, attempt: &Attempt) -> bool {
        let lost = matches!(self.retry.kept, Kept::TooMuch);
        let spent = self.retry.spent() + attempt.started().elapsed();
        let late = self.retry.response.is_some_and(|timeout| spent >= timeout);
        if self.retry.left == 0 || lost || late || self.sent_status != 0 {
            return false;
        }
        let former = self.retry.former.get_or_insert_default();
        former.permit = None;
        match cluster.retry() {
            Ok(permit) => {
                former.permit = Some(permit);
                former.spent = spent;
                self.retry.left -= 1;
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
        let sent = self.retry.announced.unwrap_or(self.start.body);
        let whole = sent.is_empty() || matches!(self.retry.kept, Kept::All(_));
        whole && self.state.request.method.is_idempotent()
    }

    /// Makes the stream as it was before `attempt`, but for the body, which
    /// goes on where it stands once what was sent is sent again.
    pub(crate) fn rewind(&mut self, attempt: &Attempt) {
        let rest = attempt.rest();
        if rest != Upload::Reading || !self.retry.kept.bytes().is_empty() {
            // The client does not wait for a go-ahead any more.
            self.start.expect = Expect::None;
        }
        self.retry.former.get_or_insert_default().rest = Some(rest);
        self.state.request.state = HeadState::Open;
        self.state.response.status = 0;
        self.state.response.headers.clear();
        self.state.response_trailers.clear();
        self.state.info.upstream_us = None;
    }
}

fn milliseconds(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?;
    text.parse().ok().filter(|milliseconds| *milliseconds > 0).map(Duration::from_millis)
}
