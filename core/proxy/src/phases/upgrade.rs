//! Requests that ask for another protocol.

use sidegate_api::{HeadState, ResponseFlags};
use sidegate_stream::{End, Flow, Upgrade};

use crate::outcome::{Ended, Stop};
use crate::relay::{Attempt, Goal, relay, tunnel};
use crate::stream::{Answer, Stream};

/// Forgets that the client asks for another protocol, unless that is one
/// that it may have. To be called before any filter sees the head.
pub(crate) fn judge(s: &mut Stream<'_>) {
    if s.start.upgrade == Upgrade::None {
        return;
    }
    let headers = &mut s.state.request.headers;
    let asked = headers.get(b"upgrade").unwrap_or_default();
    if !s.listener.config.upgrades.iter().any(|allowed| allowed.is(asked)) {
        headers.remove(b"upgrade");
        s.start.upgrade = Upgrade::None;
    }
}

/// Passes the upstream's `101` on and then whatever either side sends,
/// until both have ended. Either may end its side before the other. A
/// drain lets a tunnel live until the drain time is over.
pub(crate) async fn tunnel(s: &mut Stream<'_>, attempt: &mut Attempt) -> Ended {
    let agreed = s.state.response.headers.get(b"upgrade").unwrap_or_default();
    let asked = s.state.request.headers.get(b"upgrade").unwrap_or_default();
    if !agreed.eq_ignore_ascii_case(asked) {
        return Err(Stop::upstream(502, "upgrade_differs", ResponseFlags::UPSTREAM_PROTOCOL).into());
    }
    if attempt.upstream.switch().and_then(|()| s.client.switch(&s.state.response)).is_err() {
        return Err(Stop::upstream(502, "cannot_switch", ResponseFlags::UPSTREAM_PROTOCOL).into());
    }
    s.answer = Answer::Sent(s.state.response.status);
    s.state.response.state = HeadState::Sent;
    // A tunnel may last for days; what passes it no filter sees.
    s.chain.release(s.listener, s.route);
    tunnel::let_filters_go(s);
    s.timers.down.set(s.listener.config.timeouts.tunnel_idle);
    (s.request.flow, s.response.flow) = (Flow::default(), Flow::default());
    relay(s, &mut Goal::Tunnel(attempt)).await.map(|_| End::Finish)
}
