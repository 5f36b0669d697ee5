//! The phases of a request: header hooks, and bodies that filters want whole.

use sidegate_api::{BodyDirection, BodyInterest, ReceiverPhase};

use crate::chain::Hook;
use crate::hooks::{Next, Step, walk};
use crate::outcome::Stop;
use crate::relay::{Goal, relay};
use crate::stream::{Content, Stream, client};
use sidegate_stream::Flow;

/// Runs the header hooks of `phase`, and waits for whole bodies where
/// filters of this phase want them.
pub(crate) async fn receive(s: &mut Stream<'_>, phase: ReceiverPhase) -> Result<Next, Stop> {
    let listener = s.listener;
    skip(s, phase, 0, false);
    for &index in listener.hooks.receive(phase) {
        let wants = &listener.hooks.interests[index];
        if wants.phases.has(phase) {
            let end = s.request_end();
            match walk::call(s, index, Hook::RequestHeaders(phase, end)).await? {
                Step::Continue => {}
                Step::EndPhase => {
                    skip(s, phase, index + 1, true);
                    return Ok(Next::On);
                }
                Step::Go(flow) => return Ok(flow),
            }
        }
        let waits = wants.request_body == BodyInterest::Whole && listener.hooks.body_phase(index) == phase;
        if waits && s.chain.sees_body(index, BodyDirection::Request) && !s.asks_for_tunnel() {
            let order = &listener.hooks.request_body;
            let Some(place) = order.iter().position(|&i| i == index) else { continue };
            if place >= s.request.collected.passed {
                match s.has_request_body() {
                    true => collect(s, place).await?,
                    false => s.collect_nothing(BodyDirection::Request),
                }
                walk::pass_whole(s, BodyDirection::Request, order, place + 1).await?;
            }
        }
    }
    Ok(Next::On)
}

/// Shows filters that may give the request a body that it has none. Called
/// before a connection is taken, since they may just as well refuse it.
pub(crate) async fn show_empty_request(s: &mut Stream<'_>) -> Result<(), Stop> {
    if s.asks_for_tunnel() {
        return Ok(());
    }
    let listener = s.listener;
    let order = &listener.hooks.request_body;
    s.collect_nothing(BodyDirection::Request);
    walk::pass_whole(s, BodyDirection::Request, order, order.len()).await
}

/// Says whether filters from place `from` on whose body hooks stand in
/// `phase` are to be passed over.
fn skip(s: &mut Stream<'_>, phase: ReceiverPhase, from: usize, over: bool) {
    let hooks = &s.listener.hooks;
    for &index in hooks.request_body.iter().filter(|&&index| index >= from && hooks.body_phase(index) == phase) {
        s.chain.skip(index, BodyDirection::Request, over);
    }
}

/// Collects the whole body; each chunk first passes the streaming filters in
/// front of `place`.
pub(crate) async fn collect(s: &mut Stream<'_>, place: usize) -> Result<(), Stop> {
    if s.request.collected.content == Content::Whole {
        let listener = s.listener;
        return walk::pass_whole(s, BodyDirection::Request, &listener.hooks.request_body, place).await;
    }
    client::ask_for_body(s).await?;
    s.request.flow = Flow::default();
    match relay(s, &mut Goal::RequestBody(place)).await {
        Ok(_) => Ok(()),
        Err(outcome) => Err(outcome.last()),
    }
}
