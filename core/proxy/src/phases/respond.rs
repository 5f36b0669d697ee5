//! Responses on their way to the client.

use sidegate_api::{BodyDirection, BodyInterest, EndOfStream, HeadState, Method, ResetBy, ResponseFlags};
use sidegate_stream::{Announced, Flow, Left, ResponseStart};

use crate::chain::Hook;
use crate::hooks::{Step, walk};
use crate::host::{Forward, choose};
use crate::outcome::{Failed, Stop};
use crate::relay::{Attempt, Goal, relay};
use crate::stream::{Answer, Content, Stream};

/// Takes the upstream's response through the response filters and starts
/// it on its way to the client.
pub(crate) async fn respond(
    s: &mut Stream<'_>,
    to: &mut Forward<'_>,
    attempt: &mut Attempt,
    start: ResponseStart,
) -> Result<(), Failed> {
    choose::give_cookie(s.state, to);
    edit_by_route(s)?;
    response_phase(s, Some(attempt), start.body).await?;
    let announced = announce(s, start.body);
    begin(s, announced);
    s.response.flow = Flow::new(match announced {
        // What the upstream still sends, if a filter took the body away, is
        // not for anybody.
        Announced::Nothing | Announced::Length(0) => Left::Flush,
        _ if s.response.collected.is_collected() => Left::Drain(EndOfStream::End),
        // Open for a filter's trailers only.
        _ if start.body.is_empty() => Left::Drain(EndOfStream::End),
        _ => Left::Read,
    });
    Ok(())
}

pub(crate) fn edit_by_route(s: &mut Stream<'_>) -> Result<(), Stop> {
    let Some(matched) = s.matched() else { return Ok(()) };
    matched
        .apply_response(s.state, s.scratch)
        .map_err(|_| Stop::error(502, "too_many_response_headers", ResponseFlags::UPSTREAM_PROTOCOL, ResetBy::Upstream))
}

pub(crate) async fn response_phase(
    s: &mut Stream<'_>,
    mut attempt: Option<&mut Attempt>,
    body: Announced,
) -> Result<(), Failed> {
    let listener = s.listener;
    let hooks = &listener.hooks;
    s.answer.skip_filters();
    let empty = body.is_empty();
    for &index in &hooks.respond {
        let wants = &hooks.interests[index];
        if wants.response_headers.wanted() {
            let end = response_end(s, empty);
            if walk::call(s, index, Hook::ResponseHeaders(end)).await? == Step::EndPhase {
                for &later in hooks.response_body.iter().filter(|&&later| later > index) {
                    s.chain.skip(later, BodyDirection::Response, true);
                }
                break;
            }
        }
        let whole = wants.response_body == BodyInterest::Whole;
        if whole && may_have_body(s) && s.chain.sees_body(index, BodyDirection::Response) {
            let Some(place) = hooks.response_body.iter().position(|&i| i == index) else { continue };
            match attempt.as_deref_mut() {
                Some(attempt) if !empty && !s.response.collected.is_collected() => {
                    relay(s, &mut Goal::ResponseBody(attempt, body, place)).await?;
                }
                _ => s.collect_nothing(BodyDirection::Response),
            }
            walk::pass_whole(s, BodyDirection::Response, &hooks.response_body, place + 1).await?;
        }
    }
    if !may_have_body(s) {
        return Ok(());
    }
    if empty && s.edits(BodyDirection::Response) {
        s.collect_nothing(BodyDirection::Response);
    }
    if s.response.collected.is_collected() {
        walk::pass_whole(s, BodyDirection::Response, &hooks.response_body, hooks.response_body.len()).await?;
    }
    Ok(())
}

/// Whether body or trailers follow the response's head, its own or what
/// filters made; `empty`: it came without.
fn response_end(s: &Stream<'_>, empty: bool) -> EndOfStream {
    let made = s.response.collected.content == Content::Made
        && !(s.state.response_body.is_empty() && s.state.response_trailers.is_empty());
    if may_have_body(s) && (!empty || made) { EndOfStream::More } else { EndOfStream::End }
}

/// Whether the response is of a kind that has content. RFC 9110 section
/// 15.3.6 denies it to 205, which is framed like others all the same.
pub(crate) fn may_have_body(s: &Stream<'_>) -> bool {
    s.state.request.method != Method::Head && !matches!(s.state.response.status, 204 | 205 | 304)
}

/// How the body is announced to the client that came `body`.
pub(crate) fn announce(s: &mut Stream<'_>, body: Announced) -> Announced {
    if !may_have_body(s) {
        if s.edits(BodyDirection::Response) {
            // The length that GET would have is not known here.
            s.state.response.headers.remove(b"content-length");
        }
        let announces = s.state.response.status == 205 && s.state.request.method != Method::Head;
        return if announces { Announced::Length(0) } else { Announced::Nothing };
    }
    if s.response.collected.is_collected() {
        return match s.state.response_trailers.is_empty() {
            true => Announced::Length(s.state.response_body.len() as u64),
            false => Announced::Open,
        };
    }
    match body {
        // A filter added some.
        _ if !s.state.response_trailers.is_empty() => Announced::Open,
        Announced::Nothing => Announced::Length(0),
        Announced::Length(length) if length == 0 || !s.edits(BodyDirection::Response) => body,
        Announced::Length(_) | Announced::Open => Announced::Open,
    }
}

pub(crate) fn begin(s: &mut Stream<'_>, announced: Announced) {
    let last = s.is_last();
    s.client.start(s.worker, &s.state.response, announced, last);
    s.state.trailers_closed[BodyDirection::Response as usize] = !s.client.carries_trailers();
    s.answer = Answer::Sent(s.state.response.status);
    s.state.response.state = HeadState::Sent;
}
