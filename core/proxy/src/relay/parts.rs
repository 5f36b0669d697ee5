//! Parts of bodies that make a stop: past the filters, and on, or to the others
//! where the whole body is collected.

use sidegate_api::{BodyBuffer, BodyDirection, EndOfStream, ResetBy, ResponseFlags};
use sidegate_stream::Announced;

use super::Goal;
use crate::hooks::walk;
use crate::outcome::Stop;
use crate::stream::{Content, SPARE_BYTES, Stream, held};

/// A chunk of `count` bytes came.
pub(super) async fn chunk(
    s: &mut Stream<'_>,
    goal: &mut Goal<'_>,
    direction: BodyDirection,
    count: usize,
) -> Result<(), Stop> {
    match direction {
        BodyDirection::Request => s.state.request_body.replace(s.client.data().as_slice()),
        BodyDirection::Response => s.state.response_body.replace(goal.lent().as_slice()),
    }
    goal.consume(s, direction, count);
    walk::chunk(s, direction, filters(s, goal, direction), EndOfStream::More).await?;
    match goal.place(direction) {
        None => {
            held::recount_here(s).await;
            s.flow(direction).pass(EndOfStream::More);
        }
        Some(_) => collect(s, goal, direction).await?,
    }
    Ok(())
}

/// A body came to its end.
pub(super) async fn end(s: &mut Stream<'_>, goal: &Goal<'_>, direction: BodyDirection) -> Result<(), Stop> {
    match direction {
        BodyDirection::Request => s.state.request_body.clear(),
        BodyDirection::Response => s.state.response_body.clear(),
    }
    let end = s.body_ends(direction);
    walk::chunk(s, direction, filters(s, goal, direction), end).await?;
    walk::trailers(s, direction, filters(s, goal, direction)).await?;
    match goal.place(direction) {
        None => s.flow(direction).pass(EndOfStream::End),
        Some(place) => {
            collect(s, goal, direction).await?;
            complete(s, direction, place).await;
        }
    }
    Ok(())
}

/// The filters that see a part before it goes on: all, or those in front of the
/// one that the body is collected for.
fn filters<'a>(s: &Stream<'a>, goal: &Goal<'_>, direction: BodyDirection) -> &'a [usize] {
    let hooks = &s.listener.hooks;
    let order = match direction {
        BodyDirection::Request => &hooks.request_body,
        BodyDirection::Response => &hooks.response_body,
    };
    &order[..goal.place(direction).unwrap_or(order.len())]
}

/// Adds what is in the stream's buffer to what was collected.
async fn collect(s: &mut Stream<'_>, goal: &Goal<'_>, direction: BodyDirection) -> Result<(), Stop> {
    held::make_room(s, direction, announced(s, goal)).await?;
    let max = s.listener.config.limits.max_buffered_body;
    let (chunk, whole) = buffers(s, direction);
    whole.append(chunk.as_slice());
    chunk.clear();
    chunk.shrink(SPARE_BYTES);
    if whole.len() <= max {
        return Ok(());
    }
    Err(match direction {
        BodyDirection::Request => {
            Stop::error(413, "buffered_body_too_large", ResponseFlags::TOO_LARGE, ResetBy::Downstream)
        }
        BodyDirection::Response => Stop::upstream(502, "buffered_response_too_large", ResponseFlags::TOO_LARGE),
    })
}

/// How the body that is collected was announced.
fn announced(s: &Stream<'_>, goal: &Goal<'_>) -> Announced {
    match goal {
        Goal::ResponseBody(_, announced, _) => *announced,
        _ => s.start.body,
    }
}

/// All of it is there.
async fn complete(s: &mut Stream<'_>, direction: BodyDirection, place: usize) {
    s.timers.up.set(None);
    s.timers.down.set(None);
    let (chunk, whole) = buffers(s, direction);
    std::mem::swap(chunk, whole);
    *whole = BodyBuffer::new();
    let collected = s.collected(direction);
    collected.content = Content::Whole;
    collected.passed = place;
    held::recount_here(s).await;
}

/// The stream's buffer, and what was collected.
fn buffers<'s>(s: &'s mut Stream<'_>, direction: BodyDirection) -> (&'s mut BodyBuffer, &'s mut BodyBuffer) {
    match direction {
        BodyDirection::Request => (&mut s.state.request_body, &mut s.request.collected.whole),
        BodyDirection::Response => (&mut s.state.response_body, &mut s.response.collected.whole),
    }
}
