//! The end of a stream, whatever brought it about.

use std::time::{Duration, Instant};

use sidegate_api::{Completion, ResetBy, ResponseFlags, StreamState, whole_micros};
use sidegate_net::Traffic;
use sidegate_stream::{End, Reason};
use sidegate_telemetry::RouteStats;

use crate::chain::CallEnv;
use crate::stream::{Fate, Stream};
use crate::view::ListenerView;

impl Drop for Stream<'_> {
    /// Tells filters, statistics and access logs. Called once, by `Drop`.
    fn drop(&mut self) {
        if self.fate == Fate::Running {
            // The task was dropped in the middle: the drain time is up, or a
            // bug unwound through it.
            if self.reset_by == ResetBy::Nobody {
                self.reset_by = ResetBy::Proxy;
            }
            let flag = if std::thread::panicking() { ResponseFlags::INTERNAL } else { ResponseFlags::DRAIN_TIMEOUT };
            self.state.info.flags.insert(flag);
            if self.answer.is_sent() {
                // A response that was begun must not look whole.
                self.client.end(End::Reset(Reason::Internal));
            }
        }
        if let Some(resume) = &self.state.resume {
            resume.close();
        }
        let now = self.ended.unwrap_or_else(Instant::now);
        let completion = completion(self.state, self.answer.status(), self.reset_by, now);
        let env = CallEnv { listener: self.listener, route: self.route, worker: self.worker.index };
        self.chain.finish(self.state, &env, &completion);
        if let Some(resume) = &self.state.resume {
            // A handle that `on_complete` took is as late as any other.
            resume.close();
        }
        let route = self.route.map(|(route, _)| (self.routes.stats(), route.0));
        record(self.listener, self.state, &completion, route, self.client.new_traffic());
        let ledger = &self.worker.ledger;
        self.held.end(ledger);
        if self.admission.is_ok() {
            ledger.stream_ends();
        }
        // An idle connection must not hold on to the routes of a configuration
        // that was replaced.
        self.state.info.route = None;
    }
}

/// A request that never became a stream: its head was refused.
pub(crate) fn refused(listener: &ListenerView, state: &StreamState, status: u16, by: ResetBy, traffic: Traffic) {
    record(listener, state, &completion(state, status, by, Instant::now()), None, traffic);
}

pub(crate) fn completion(state: &StreamState, status: u16, reset_by: ResetBy, now: Instant) -> Completion {
    let duration = state.info.start.map(|start| now.saturating_duration_since(start)).unwrap_or_default();
    Completion {
        status,
        flags: state.info.flags,
        bytes_received: state.info.bytes_received,
        bytes_sent: state.info.bytes_sent,
        duration,
        upstream_duration: state.info.upstream_us.map(Duration::from_micros),
        process_duration: Duration::from_micros(state.info.process_us(whole_micros(duration))),
        reset_by,
    }
}

fn record(
    listener: &ListenerView,
    state: &StreamState,
    completion: &Completion,
    route: Option<(&RouteStats, u32)>,
    traffic: Traffic,
) {
    listener.stats.bytes_read(traffic.read);
    listener.stats.bytes_written(traffic.written);
    listener.stats.request_ended(completion, route, state.info.details);
    for log in &listener.config.access_logs {
        log.log(state, completion);
    }
}
