//! A stream's way from its decoded head to its end.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use sidegate_api::{MirrorHosts, ReceiverPhase, ResetBy, ResponseFlags};
use sidegate_overload::Shortage;
use sidegate_stream::{End, Last, Reason};

use crate::hooks::{Next, walk};
use crate::outcome::{Blame, Stop};
use crate::phases::{broadcast, client_cert, forwarding, hosts, max_forwards, receive, reply, route, upgrade};
use crate::stream::{Fate, Stream, held, measured};

/// Times that a filter may send a request back to an earlier phase.
const MAX_PASSES: u32 = 10;

/// Carries the stream to its end, or resets it when it holds too much of
/// what all need.
pub(crate) async fn run(s: &mut Stream<'_>) -> End {
    let (ledger, mark) = (&s.worker.ledger, s.held.mark);
    let condemned = {
        let mut way = pin!(run_free(s));
        poll_fn(|cx| match way.as_mut().poll(cx) {
            Poll::Ready(after) => Poll::Ready(Some(after)),
            Poll::Pending if ledger.is_condemned(mark) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    };
    match condemned {
        Some(after) => after,
        None => reset_for_others(s).await,
    }
}

/// Carries the stream to its end.
pub(crate) async fn run_free(s: &mut Stream<'_>) -> End {
    match forward(s).await {
        Ok(end) => {
            s.fate = Fate::Ended;
            end
        }
        Err(stop) => end_by(s, stop).await,
    }
}

/// Ends the stream with what stopped it.
pub(crate) async fn end_by(s: &mut Stream<'_>, stop: Stop) -> End {
    let end = answer(s, stop).await;
    s.fate = Fate::Ended;
    end
}

async fn forward(s: &mut Stream<'_>) -> Result<End, Stop> {
    let listener = s.listener;
    measured::begin(s);
    admitted(s)?;
    upgrade::judge(s);
    let told = forwarding::identify(s.state, listener.config.forwarding);
    let told = told.and_then(|()| match &listener.config.forwarding.client_cert {
        None => Ok(()),
        Some(policy) => client_cert::forward_certificate(s.state, policy, s.scratch),
    });
    if told.is_err() {
        return Err(Stop::error(431, "too_many_headers", ResponseFlags::TOO_LARGE, ResetBy::Downstream));
    }
    if let Err((index, policy)) = s.chain.start(listener, s.worker.index) {
        walk::fault(s, index, policy)?;
    }
    if listener.hooks.is_busy(ReceiverPhase::BeforeRoute) {
        receive::receive(s, ReceiverPhase::BeforeRoute).await?;
    }
    max_forwards::count(s)?;
    for _ in 0..MAX_PASSES {
        let routed = route::find(s)?;
        if listener.hooks.is_busy(ReceiverPhase::AfterRoute)
            && receive::receive(s, ReceiverPhase::AfterRoute).await? == Next::Rematch
        {
            continue;
        }
        routed.answer(s)?;
        if s.state.mirror.is_some_and(|fan| fan.hosts == MirrorHosts::All) {
            broadcast::broadcast(s).await?;
        }
        if let Some(end) = hosts::ask(s, &mut routed.forward()?, MAX_PASSES).await? {
            return Ok(end);
        }
    }
    Err(Stop::error(500, "too_many_passes", ResponseFlags::FILTER_FAULT, ResetBy::Nobody))
}

/// Answers a stop, or cuts the connection where nothing can be said.
async fn answer(s: &mut Stream<'_>, stop: Stop) -> End {
    let (reply, blame) = match stop {
        Stop::Reply(reply, blame) => (reply, blame),
        Stop::Cut(blame) => return cut(s, blame),
        Stop::Finish(blame) => {
            cut(s, blame);
            return End::Finish;
        }
    };
    nothing_follows(s, blame.by);
    if s.answer.is_sent() {
        return cut(s, blame);
    }
    // A reply is an end in order, unless nobody is left to read it.
    let left = blame.flag == ResponseFlags::DOWNSTREAM_CLOSED;
    s.blame(Blame { by: if left { blame.by } else { ResetBy::Nobody }, ..blame });
    match reply::send(s, reply).await {
        Ok(end) => end,
        // The reply itself was stopped: by a filter, or the client.
        Err(Stop::Reply(reply, blame)) => {
            nothing_follows(s, blame.by);
            let cut = cut(s, blame);
            if s.answer.is_sent() {
                return cut;
            }
            s.answer.skip_filters();
            reply::send(s, reply).await.unwrap_or(cut)
        }
        Err(Stop::Cut(blame) | Stop::Finish(blame)) => cut(s, blame),
    }
}

fn cut(s: &mut Stream<'_>, blame: Blame) -> End {
    s.blame(blame);
    End::Reset(reason(blame.by))
}

/// Nothing is to begin where something is short.
#[inline]
pub(crate) fn admitted(s: &mut Stream<'_>) -> Result<(), Stop> {
    match s.admission {
        Ok(()) => Ok(()),
        Err(shortage) => Err(not_admitted(s, shortage)),
    }
}

#[cold]
fn not_admitted(s: &mut Stream<'_>, shortage: Shortage) -> Stop {
    // No filter saw the request.
    s.answer.skip_filters();
    if shortage == Shortage::Memory {
        s.last = Last::Yes;
    }
    Stop::overload(shortage)
}

/// Others need what this stream holds. It gets a reply if none has begun.
#[cold]
async fn reset_for_others(s: &mut Stream<'_>) -> End {
    held::give_up_bodies(s);
    s.answer.skip_filters();
    s.last = Last::Yes;
    let stop = Stop::error(503, "overload_reset", ResponseFlags::OVERLOAD, ResetBy::Proxy);
    end_by(s, stop).await
}

/// After a request that was not understood or not read to its end, what
/// follows on the connection must not be taken for a request.
fn nothing_follows(s: &mut Stream<'_>, by: ResetBy) {
    if by == ResetBy::Downstream {
        s.last = Last::Yes;
    }
}

/// What a protocol that names reasons says of a cut.
fn reason(by: ResetBy) -> Reason {
    match by {
        ResetBy::Downstream => Reason::Cancel,
        ResetBy::Nobody | ResetBy::Upstream | ResetBy::Filter | ResetBy::Proxy => Reason::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<'s, 'a: 's, F>(_: impl FnOnce(&'s mut Stream<'a>) -> F) -> usize {
        size_of::<F>()
    }

    /// Every stream of HTTP/2 has one beside its kit, every connection of
    /// HTTP/1 one for its life.
    #[test]
    fn the_way_of_a_stream_is_bounded() {
        let (way, stream) = (size(run), size_of::<Stream<'_>>());
        assert!(way <= 1600, "the future has {way} bytes");
        assert!(stream <= 640, "the stream has {stream} bytes");
    }
}
