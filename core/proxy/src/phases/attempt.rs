//! One request at one host.

use std::time::Instant;

use sidegate_api::{BodyDirection, EndOfStream, HeadState};
use sidegate_stream::{Announced, At, End, Flow, Left};

use crate::hooks::walk;
use crate::host::Forward;
use crate::outcome::{Again, Ended, Outcome, Stop};
use crate::phases::{respond, retry, upgrade};
use crate::relay::{Attempt, Goal, Reached, relay};
use crate::stream::{Content, Stream};

/// Sends the request and brings the response to the client.
pub(crate) async fn run(s: &mut Stream<'_>, to: &mut Forward<'_>, attempt: &mut Attempt) -> Ended {
    let before = attempt.upstream.traffic();
    let ended = relay_to_end(s, to, attempt).await;
    attempt.count.traffic(before, attempt.upstream.traffic());
    attempt.count.conclude(&ended);
    if let Err(outcome) = &ended
        && let Outcome::TimedOut(_) = **outcome
    {
        attempt.upstream.distrust();
    }
    s.timers.up.set(None);
    s.timers.down.set(None);
    ended
}

async fn relay_to_end(s: &mut Stream<'_>, to: &mut Forward<'_>, attempt: &mut Attempt) -> Ended {
    s.client.release();
    note_attempt(s, attempt);
    begin(s, attempt).await?;
    let reached = relay(s, &mut Goal::Head(attempt)).await?;
    note_response(s, attempt);
    let Reached::Head(start) = reached else {
        return upgrade::tunnel(s, attempt).await;
    };
    if s.retry.left > 0
        && retry::is_failure(s, s.state.response.status)
        && retry::may_try_again(s, &attempt.count.cluster.cluster, attempt) == Again::Allowed
    {
        return Err(Outcome::BadStatus.into());
    }
    respond::respond(s, to, attempt, start).await?;
    relay(s, &mut Goal::Everything(attempt)).await?;
    // What the client still sends is nobody's.
    Ok(if s.request.flow.is_done() { End::Reusable } else { End::Finish })
}

fn note_response(s: &mut Stream<'_>, attempt: &mut Attempt) {
    attempt.count.answered(s.state.response.status);
    s.state.info.upstream_us = s.state.info.micros_until(Instant::now());
}

/// Writes the request head and says where the body comes from.
pub(crate) async fn begin(s: &mut Stream<'_>, attempt: &mut Attempt) -> Result<(), Stop> {
    let listener = s.listener;
    let hooks = &listener.hooks;
    let collected = s.request.collected.is_collected();
    if collected {
        walk::pass_whole(s, BodyDirection::Request, &hooks.request_body, hooks.request_body.len()).await?;
    }
    let announced = if let Some(before) = s.request.announced {
        before
    } else if collected {
        match (s.state.request_body.len(), s.state.request_trailers.is_empty()) {
            // As it came, with or without a length.
            (0, true) if s.request.collected.content == Content::Made => s.start.body,
            (length, true) => Announced::Length(length as u64),
            (_, false) => Announced::Open,
        }
    } else if s.has_request_body() && s.edits(BodyDirection::Request) || !s.state.request_trailers.is_empty() {
        Announced::Open
    } else {
        s.start.body
    };
    s.request.announced = Some(announced);
    attempt.upstream.start(&s.state.request, announced, &s.start);
    s.state.trailers_closed[BodyDirection::Request as usize] = !attempt.upstream.carries_trailers();
    s.state.request.state = HeadState::Sent;
    if !matches!(s.request.flow.at(), At::Again { .. }) {
        s.request.flow = Flow::new(if s.has_request_body() && !collected {
            Left::Read
        } else if collected || announced == Announced::Open {
            Left::Drain(EndOfStream::End)
        } else {
            Left::Flush
        });
    }
    Ok(())
}

/// The request goes to an upstream connection now.
pub(crate) fn note_attempt(s: &mut Stream<'_>, attempt: &mut Attempt) {
    s.state.info.forwarded_us = s.state.info.micros_until(attempt.started());
    let spent = s.retry.spent();
    if !spent.is_zero() {
        s.state.info.lost_us = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
    }
    s.state.info.upstream_connection = attempt.upstream.id();
    s.state.info.upstream_protocol = attempt.upstream.protocol();
    if s.listener.log_needs.upstream_hostname {
        let member = &attempt.count.cluster.cluster.members()[attempt.count.position()];
        s.state.info.upstream_hostname = member.hostname.clone();
    }
    if s.listener.log_needs.upstream_local {
        s.state.info.upstream_local = attempt.upstream.local_address();
    }
    if s.listener.log_needs.upstream_tls {
        s.state.info.upstream_tls = attempt.upstream.tls_agreed();
    }
    if s.listener.log_needs.upstream_peer {
        s.state.info.upstream_peer = attempt.upstream.peer();
    }
}
