//! What a stream knows of its attempts.

use std::time::Duration;

use sidegate_upstream::RetryPermit;

/// Times that a request is sent again that nobody has seen.
const MAX_REPEATS: u8 = 3;

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
    /// Times that it was sent again without a policy.
    repeats: u8,
    /// What former attempts left; apart, since most streams have none.
    pub(crate) former: Option<Box<Former>>,
}

/// What there is after a first attempt.
#[derive(Debug, Default)]
pub(crate) struct Former {
    /// How long attempts took in vain.
    pub(crate) spent: Duration,
    /// For an attempt that is not the first.
    pub(crate) permit: Option<RetryPermit>,
}

impl Retry {
    /// For attempts under another route's policy.
    pub(crate) fn begin_anew(&mut self, response: Option<Duration>) {
        (self.left, self.response, self.per_try) = (0, response, None);
        if let Some(former) = &mut self.former {
            // Room for a retry at a cluster that is not asked again.
            former.permit = None;
        }
    }

    /// Whether what nobody has seen may be sent again without a policy. A host
    /// that goes on refusing ends that.
    pub(crate) fn may_repeat(&self) -> bool {
        self.repeats < MAX_REPEATS
    }

    /// It is; how often with this time.
    #[cold]
    pub(crate) fn repeat(&mut self) -> u8 {
        self.repeats += 1;
        self.repeats
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
}
