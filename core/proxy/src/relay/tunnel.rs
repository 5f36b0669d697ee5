//! After a switch to another protocol: bytes both ways, which no hook sees.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::task::Poll;
use std::time::Instant;

use sidegate_api::ResetBy;
use sidegate_stream::{BodyFault, TunnelFault, TunnelWay};

use crate::outcome::{Outcome, Stop};
use crate::relay::Attempt;
use crate::stream::{Stream, complete};

/// Why carrying bytes stopped.
enum Carried {
    Ended(Result<(), Outcome>),
    /// Filters are to be asked whether they may still wait.
    Asked,
}

pub(crate) async fn carry(s: &mut Stream<'_>, attempt: &mut Attempt) -> Result<(), Outcome> {
    let mut ways = (TunnelWay::default(), TunnelWay::default());
    s.timers.down.set(s.listener.config.timeouts.tunnel_idle);
    loop {
        match carry_on(s, attempt, &mut ways).await {
            Carried::Ended(result) => {
                if let Err(Outcome::Stopped(Stop::Cut(_))) = &result {
                    // The client reset it: so is the host told.
                    attempt.upstream.reset();
                }
                return result;
            }
            Carried::Asked => let_filters_go(s),
        }
    }
}

/// Filters that wait for the tunnel's end may not have to wait for ever.
/// The upstream's timer is free meanwhile.
pub(crate) fn let_filters_go(s: &mut Stream<'_>) {
    let now = complete::completion(s.state, s.sent_status, ResetBy::Proxy, Instant::now());
    let again = s.chain.let_go(s.state, s.worker.index, &now);
    s.timers.up.set(again);
}

async fn carry_on(
    s: &mut Stream<'_>,
    attempt: &mut Attempt,
    (to_upstream, to_client): &mut (TunnelWay, TunnelWay),
) -> Carried {
    let idle = s.listener.config.timeouts.tunnel_idle;
    let (Some(client), Some(upstream)) = (s.client.pipe(), attempt.upstream.pipe()) else {
        return Carried::Ended(Err(upstream_failed()));
    };
    let info = &mut s.state.info;
    let (timer, asks) = (&s.timers.down, &s.timers.up);
    poll_fn(|cx| {
        let before = info.bytes_received + info.bytes_sent;
        // Who ended its side and then fails has closed in good order: what
        // was on its way to it is lost, what came from it is not.
        let up = match to_upstream.poll(cx, client, upstream, &mut info.bytes_received) {
            Poll::Ready(Err(TunnelFault::Sender(_))) => return Poll::Ready(Carried::Ended(Err(client_failed()))),
            Poll::Ready(Err(TunnelFault::Receiver(_))) if to_client.sender_has_ended() => {
                to_upstream.give_up();
                Poll::Ready(())
            }
            Poll::Ready(Err(TunnelFault::Receiver(_))) => {
                return Poll::Ready(Carried::Ended(Err(upstream_failed())));
            }
            other => other.map(|_| ()),
        };
        let down = match to_client.poll(cx, upstream, client, &mut info.bytes_sent) {
            Poll::Ready(Err(TunnelFault::Sender(_))) => return Poll::Ready(Carried::Ended(Err(upstream_failed()))),
            Poll::Ready(Err(TunnelFault::Receiver(_))) if to_upstream.sender_has_ended() => {
                to_client.give_up();
                Poll::Ready(())
            }
            Poll::Ready(Err(TunnelFault::Receiver(_))) => return Poll::Ready(Carried::Ended(Err(client_failed()))),
            other => other.map(|_| ()),
        };
        if up.is_ready() && down.is_ready() {
            return Poll::Ready(Carried::Ended(Ok(())));
        }
        if info.bytes_received + info.bytes_sent != before {
            timer.set(idle);
        }
        if timer.poll(cx).is_ready() {
            return Poll::Ready(Carried::Ended(Err(Stop::tunnel_idle().into())));
        }
        asks.poll(cx).map(|()| Carried::Asked)
    })
    .await
}

#[cold]
fn upstream_failed() -> Outcome {
    Outcome::Broken(BodyFault::Io(ErrorKind::ConnectionReset.into()))
}

#[cold]
fn client_failed() -> Outcome {
    Stop::client_gone().into()
}
