//! After a switch to another protocol: bytes both ways, which no hook sees.
//! Either side may end before the other.

use std::io::ErrorKind;
use std::task::{Context, Poll};
use std::time::Instant;

use sidegate_api::{Headers, ResetBy};
use sidegate_stream::{BodyFault, FlowFault, Upstream, Way};

use super::drive::{Event, Reached};
use crate::outcome::{Failed, Outcome, Stop};
use crate::stream::{Stream, complete};

/// Filters that wait for the tunnel's end may not have to wait for ever. The
/// upstream's timer is free meanwhile.
pub(crate) fn let_filters_go(s: &mut Stream<'_>) {
    let now = complete::completion(s.state, s.answer.status(), ResetBy::Proxy, Instant::now());
    let again = s.chain.let_go(s.state, s.worker.index, &now);
    s.timers.up.set(again);
}

pub(super) fn poll(s: &mut Stream<'_>, cx: &mut Context<'_>, upstream: &mut Upstream) -> Poll<Result<Event, Failed>> {
    let moved = |s: &Stream<'_>| s.state.info.bytes_received + s.state.info.bytes_sent;
    let before = moved(s);
    if s.request.flow.goes_on() {
        let state = &mut *s.state;
        let mut way = TunnelWay { count: &mut state.info.bytes_received, trailers: &mut state.request_trailers };
        match s.request.flow.poll(cx, &mut s.client, upstream, &mut way) {
            Poll::Ready(Err(FlowFault::Sender(_))) => return Poll::Ready(Err(client_failed(upstream))),
            // Who ended its side and then fails has closed in good order: what
            // was on its way to it is lost, what came from it is not.
            Poll::Ready(Err(FlowFault::Receiver(_))) if s.response.flow.has_all() => s.request.flow.give_up(),
            Poll::Ready(Err(FlowFault::Receiver(_))) => return Poll::Ready(Err(upstream_failed())),
            Poll::Ready(Ok(_)) | Poll::Pending => {}
        }
    }
    if s.response.flow.goes_on() {
        let state = &mut *s.state;
        let mut way = TunnelWay { count: &mut state.info.bytes_sent, trailers: &mut state.response_trailers };
        match s.response.flow.poll(cx, upstream, &mut s.client, &mut way) {
            Poll::Ready(Err(FlowFault::Sender(_))) => return Poll::Ready(Err(upstream_failed())),
            Poll::Ready(Err(FlowFault::Receiver(_))) if s.request.flow.has_all() => s.response.flow.give_up(),
            Poll::Ready(Err(FlowFault::Receiver(_))) => return Poll::Ready(Err(client_failed(upstream))),
            Poll::Ready(Ok(_)) | Poll::Pending => {}
        }
    }
    if s.request.flow.is_done() && s.response.flow.is_done() {
        return Poll::Ready(Ok(Event::Reached(Reached::Everything)));
    }
    if moved(s) != before {
        s.timers.down.set(s.listener.config.timeouts.tunnel_idle);
    }
    if s.timers.down.poll(cx).is_ready() {
        return Poll::Ready(Err(Stop::tunnel_idle().into()));
    }
    s.timers.up.poll(cx).map(|()| Ok(Event::Tenure))
}

#[cold]
fn upstream_failed() -> Failed {
    Outcome::Broken(BodyFault::Io(ErrorKind::ConnectionReset.into())).into()
}

/// So is the host told.
#[cold]
fn client_failed(upstream: &mut Upstream) -> Failed {
    upstream.reset();
    Stop::client_gone().into()
}

/// Bytes that pass are counted, and no more.
struct TunnelWay<'s> {
    count: &'s mut u64,
    /// Stay empty.
    trailers: &'s mut Headers,
}

impl Way for TunnelWay<'_> {
    fn is_watched(&self) -> bool {
        false
    }

    fn came(&mut self, _: usize) {}

    fn ended(&mut self) {}

    fn went(&mut self, bytes: &[u8]) {
        *self.count += bytes.len() as u64;
    }

    fn buffer(&self) -> &[u8] {
        &[]
    }

    fn drain(&mut self, _: usize) {}

    fn replay(&self) -> &[u8] {
        &[]
    }

    fn trailers(&mut self) -> &mut Headers {
        self.trailers
    }
}
