//! After `101 Switching Protocols`: bytes both ways, which no hook sees.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

use sidegate_api::{HeadState, ResetBy, ResponseFlags};
use sidegate_stream::{End, TunnelFault, TunnelWay, Upgrade};

use crate::finish::completion;
use crate::halt::Halt;
use crate::relay::{Attempt, RequestEnd};
use crate::stream::Stream;

/// Why a tunnel that broke off did so.
enum Broken {
    Client,
    Upstream,
    Idle,
}

/// Why carrying bytes stopped.
enum Carried {
    Ended(Result<(), Broken>),
    /// Filters are to be asked whether they may still wait.
    Asked,
}

impl Stream<'_> {
    /// Forgets that the client asks for another protocol, unless that is one
    /// that it may have. To be called before any filter sees the head.
    pub(crate) fn judge_upgrade(&mut self) {
        if self.start.upgrade == Upgrade::None {
            return;
        }
        let headers = &mut self.state.request.headers;
        let asked = headers.get(b"upgrade").unwrap_or_default();
        if !self.listener.config.upgrades.iter().any(|allowed| allowed.is(asked)) {
            headers.remove(b"upgrade");
            self.start.upgrade = Upgrade::None;
        }
    }

    /// Passes the upstream's `101` on and then whatever either side sends,
    /// until both have ended. Either may end its side before the other. A
    /// drain lets a tunnel live until the drain time is over.
    pub(crate) async fn tunnel(&mut self, attempt: &mut Attempt) -> Result<End, Halt> {
        let agreed = self.state.response.headers.get(b"upgrade").unwrap_or_default();
        let asked = self.state.request.headers.get(b"upgrade").unwrap_or_default();
        if !agreed.eq_ignore_ascii_case(asked) {
            return Err(Halt::upstream(502, "upgrade_differs", ResponseFlags::UPSTREAM_PROTOCOL));
        }
        self.client.switch(&self.state.response);
        self.sent_status = self.state.response.status;
        self.state.response.state = HeadState::Sent;
        self.timers.up.set(None);
        // A tunnel may last for days; what passes it no filter sees.
        self.chain.release(self.listener, self.route);
        self.let_filters_go();
        let Err(broken) = self.carry(attempt).await else {
            attempt.count.end = RequestEnd::Whole;
            return Ok(End::Finish);
        };
        match broken {
            Broken::Idle => {
                // Both get a regular end: whether a message was cut is for
                // the protocol inside to say.
                self.state.info.flags.insert(ResponseFlags::DOWNSTREAM_TIMEOUT);
                self.note(ResetBy::Proxy, "tunnel_idle_timeout");
                Ok(End::Finish)
            }
            Broken::Client => {
                attempt.upstream.reset();
                Err(Halt::client_gone())
            }
            Broken::Upstream => {
                attempt.count.end = RequestEnd::ByHost;
                Err(Halt::Cut(ResetBy::Upstream, ResponseFlags::UPSTREAM_CLOSED, "upstream_reset"))
            }
        }
    }

    async fn carry(&mut self, attempt: &mut Attempt) -> Result<(), Broken> {
        let mut ways = (TunnelWay::default(), TunnelWay::default());
        self.timers.down.set(self.listener.config.timeouts.tunnel_idle);
        loop {
            match self.carry_on(attempt, &mut ways).await {
                Carried::Ended(result) => return result,
                Carried::Asked => self.let_filters_go(),
            }
        }
    }

    /// Filters that wait for the tunnel's end may not have to wait for ever.
    /// The upstream's timer is free meanwhile.
    fn let_filters_go(&mut self) {
        let now = completion(self.state, self.sent_status, ResetBy::Proxy, Instant::now());
        let again = self.chain.let_go(self.state, self.worker.index, &now);
        self.timers.up.set(again);
    }

    async fn carry_on(
        &mut self,
        attempt: &mut Attempt,
        (to_upstream, to_client): &mut (TunnelWay, TunnelWay),
    ) -> Carried {
        let idle = self.listener.config.timeouts.tunnel_idle;
        let (Some(client), Some(upstream)) = (self.client.pipe(), attempt.upstream.pipe()) else {
            return Carried::Ended(Err(Broken::Upstream));
        };
        let info = &mut self.state.info;
        let (timer, asks) = (&self.timers.down, &self.timers.up);
        poll_fn(|cx| {
            let before = info.bytes_received + info.bytes_sent;
            // Who ended its side and then fails has closed in good order: what
            // was on its way to it is lost, what came from it is not.
            let up = match to_upstream.poll(cx, client, upstream, &mut info.bytes_received) {
                Poll::Ready(Err(TunnelFault::Sender(_))) => return Poll::Ready(Carried::Ended(Err(Broken::Client))),
                Poll::Ready(Err(TunnelFault::Receiver(_))) if to_client.sender_has_ended() => {
                    to_upstream.give_up();
                    Poll::Ready(())
                }
                Poll::Ready(Err(TunnelFault::Receiver(_))) => {
                    return Poll::Ready(Carried::Ended(Err(Broken::Upstream)));
                }
                other => other.map(|_| ()),
            };
            let down = match to_client.poll(cx, upstream, client, &mut info.bytes_sent) {
                Poll::Ready(Err(TunnelFault::Sender(_))) => return Poll::Ready(Carried::Ended(Err(Broken::Upstream))),
                Poll::Ready(Err(TunnelFault::Receiver(_))) if to_upstream.sender_has_ended() => {
                    to_client.give_up();
                    Poll::Ready(())
                }
                Poll::Ready(Err(TunnelFault::Receiver(_))) => return Poll::Ready(Carried::Ended(Err(Broken::Client))),
                other => other.map(|_| ()),
            };
            if up.is_ready() && down.is_ready() {
                return Poll::Ready(Carried::Ended(Ok(())));
            }
            if info.bytes_received + info.bytes_sent != before {
                timer.set(idle);
            }
            if timer.poll(cx).is_ready() {
                return Poll::Ready(Carried::Ended(Err(Broken::Idle)));
            }
            asks.poll(cx).map(|()| Carried::Asked)
        })
        .await
    }
}
