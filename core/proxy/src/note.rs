//! What is measured of a stream only because an access log shows it.

use std::time::Instant;

use crate::relay::Attempt;
use crate::stream::Stream;

impl Stream<'_> {
    /// The head is there and nothing has changed it yet.
    pub(crate) fn note_begin(&mut self) {
        self.state.info.head_bytes = self.start.head_bytes;
        if self.listener.log_needs.original_target {
            self.state.info.original_target.push_str(self.state.request.target());
        }
        if !self.has_request_body() {
            self.note_received();
        }
    }

    /// The request was read to its end.
    pub(crate) fn note_received(&mut self) {
        if self.listener.log_needs.received {
            self.state.info.received_us = self.state.info.micros_until(Instant::now());
        }
    }

    /// The filter at `index` answered, or failed and so ends the stream.
    #[cold]
    pub(crate) fn note_answer(&mut self, index: usize) {
        self.state.info.answered_by = self.chain.entry(index).map(|entry| entry.answers_as.clone());
    }

    /// The request goes to an upstream connection now.
    pub(crate) fn note_attempt(&mut self, attempt: &mut Attempt) {
        self.state.info.forwarded_us = self.state.info.micros_until(attempt.started());
        let spent = self.retry.spent();
        if !spent.is_zero() {
            self.state.info.lost_us = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
        }
        self.state.info.upstream_connection = attempt.upstream.id();
        self.state.info.upstream_protocol = attempt.upstream.protocol();
        if self.listener.log_needs.upstream_hostname {
            let member = &attempt.count.cluster.cluster.members()[attempt.count.position()];
            self.state.info.upstream_hostname = member.hostname.clone();
        }
        if self.listener.log_needs.upstream_local {
            self.state.info.upstream_local = attempt.upstream.local_address();
        }
    }
}
