//! Walking filters through their hooks: a head, the chunks and trailers of both
//! directions.

use sidegate_api::{BodyDirection, BodyInterest, EndOfStream, FaultPolicy, ReceiverPhase, ResetBy, ResponseFlags};

use super::pending::{self, Wait};
use crate::chain::{CallEnv, Hook, Verdict};
use crate::outcome::Stop;
use crate::stream::{Content, Stream, held, measured};

/// Where a request goes on after a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// In the next phase.
    On,
    /// At the match of the route.
    Rematch,
    /// At the choice of a host.
    Rechoose,
}

/// What a filter's hook means for the filters after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Continue,
    EndPhase,
    Go(Next),
}

/// Lets a held body pass the filters up to `until` in `order`.
pub(crate) async fn pass_whole(
    s: &mut Stream<'_>,
    direction: BodyDirection,
    order: &[usize],
    until: usize,
) -> Result<(), Stop> {
    let from = s.collected(direction).passed;
    if from >= until {
        return Ok(());
    }
    s.collected(direction).passed = until;
    let end = s.body_ends(direction);
    chunk(s, direction, &order[from..until], end).await?;
    // Filters may have made it larger.
    held::recount_here(s).await;
    trailers(s, direction, &order[from..until]).await
}

/// Lets the chunk in the stream's buffer pass these filters.
pub(crate) async fn chunk(
    s: &mut Stream<'_>,
    direction: BodyDirection,
    filters: &[usize],
    end: EndOfStream,
) -> Result<(), Stop> {
    let mut ended = None;
    for &index in filters {
        let wants = &s.listener.hooks.interests[index];
        let (interest, hook, body) = match direction {
            BodyDirection::Request => (wants.request_body, Hook::RequestBody(end), &s.state.request_body),
            BodyDirection::Response => (wants.response_body, Hook::ResponseBody(end), &s.state.response_body),
        };
        let shown = match interest {
            BodyInterest::None => false,
            // There is nothing to see.
            BodyInterest::Observe => !body.is_empty() || s.collected_of(direction).content != Content::Made,
            BodyInterest::Stream | BodyInterest::Whole => true,
        };
        if shown && sees(s, index, direction, ended) {
            ended = body_hook(s, index, direction, hook).await?.or(ended);
        }
    }
    Ok(())
}

/// Shows the trailers to these filters, if there are any.
pub(crate) async fn trailers(s: &mut Stream<'_>, direction: BodyDirection, filters: &[usize]) -> Result<(), Stop> {
    let mut ended = None;
    for &index in filters {
        let wants = &s.listener.hooks.interests[index];
        let (wanted, hook, trailers) = match direction {
            BodyDirection::Request => (wants.request_trailers, Hook::RequestTrailers, &s.state.request_trailers),
            BodyDirection::Response => (wants.response_trailers, Hook::ResponseTrailers, &s.state.response_trailers),
        };
        if wanted.wanted() && !trailers.is_empty() && sees(s, index, direction, ended) {
            ended = body_hook(s, index, direction, hook).await?.or(ended);
        }
    }
    Ok(())
}

/// Whether a filter sees this part of a body: it does not if its phase was
/// `ended`, for this part or from the head on.
fn sees(s: &Stream<'_>, index: usize, direction: BodyDirection, ended: Option<ReceiverPhase>) -> bool {
    s.chain.sees_body(index, direction) && ended != Some(phase_in(s, index, direction))
}

/// Calls a body or trailer hook; comes back with the phase that it ended.
async fn body_hook(
    s: &mut Stream<'_>,
    index: usize,
    direction: BodyDirection,
    hook: Hook,
) -> Result<Option<ReceiverPhase>, Stop> {
    let step = call(s, index, hook).await?;
    Ok((step == Step::EndPhase).then(|| phase_in(s, index, direction)))
}

/// A response knows one phase only, whichever it is called.
fn phase_in(s: &Stream<'_>, index: usize, direction: BodyDirection) -> ReceiverPhase {
    match direction {
        BodyDirection::Request => s.listener.hooks.body_phase(index),
        BodyDirection::Response => ReceiverPhase::AfterChooseHost,
    }
}

/// Calls one hook and waits for as long as it is pending.
pub(crate) async fn call(s: &mut Stream<'_>, index: usize, hook: Hook) -> Result<Step, Stop> {
    let mut hook = hook;
    let mut wait = Wait::default();
    loop {
        let env = CallEnv { listener: s.listener, route: s.route, worker: s.worker.index };
        let verdict = s.chain.call(index, hook, s.state, &env);
        if held::filters_changed(s) {
            held::recount_here(s).await;
        }
        match verdict {
            Verdict::Continue => return Ok(Step::Continue),
            Verdict::EndPhase => return Ok(Step::EndPhase),
            Verdict::Rematch => return Ok(Step::Go(Next::Rematch)),
            Verdict::Rechoose => return Ok(Step::Go(Next::Rechoose)),
            Verdict::Reply(reply) => {
                measured::answered_by(s, index);
                if let Some(entry) = s.chain.entry(index) {
                    entry.replies.count(reply.status);
                }
                return Err(Stop::filter_reply(reply));
            }
            Verdict::Terminate => {
                measured::answered_by(s, index);
                return Err(Stop::cut(ResetBy::Filter, ResponseFlags::FILTER_TERMINATED, "filter_terminated"));
            }
            Verdict::Fault(policy) => return fault(s, index, policy),
            Verdict::Pending => match pending::wait(s, &mut wait).await? {
                Ok(()) => hook = hook.resumed(),
                Err(overdue) => {
                    let env = CallEnv { listener: s.listener, route: s.route, worker: s.worker.index };
                    let policy = s.chain.expire(index, overdue.into(), &env);
                    return fault(s, index, policy);
                }
            },
        }
    }
}

/// What a fault policy makes of a stream, after a fault of the filter at
/// `index`.
pub(crate) fn fault(s: &mut Stream<'_>, index: usize, policy: FaultPolicy) -> Result<Step, Stop> {
    s.state.info.flags.insert(ResponseFlags::FILTER_FAULT);
    if policy != FaultPolicy::Pass {
        measured::answered_by(s, index);
    }
    match policy {
        FaultPolicy::Pass => Ok(Step::Continue),
        FaultPolicy::Reply500 => Err(Stop::error(500, "filter_fault", ResponseFlags::FILTER_FAULT, ResetBy::Nobody)),
        FaultPolicy::Reset => Err(Stop::cut(ResetBy::Filter, ResponseFlags::FILTER_FAULT, "filter_fault")),
    }
}
