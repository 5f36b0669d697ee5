//! Bodies that a filter wants whole, and chunks on their way through the
//! filters.

use std::future::poll_fn;
use std::task::{Context, Poll};

use sidegate_api::{BodyBuffer, BodyDirection, EndOfStream, ResetBy, ResponseFlags};
use sidegate_stream::{Announced, BodyEvent};

use crate::hooks::walk;
use crate::outcome::{Outcome, Stop};
use crate::relay::{Attempt, Event, drive, upload};
use crate::stream::{Download, Hold, SPARE_BYTES, Stream, Upload, client, held, measured, pace};

/// Collects the whole request body; each chunk first passes the streaming
/// filters in front of `place`.
pub(crate) async fn collect_request(s: &mut Stream<'_>, place: usize) -> Result<(), Stop> {
    if s.request_pass.hold == Hold::Whole {
        let listener = s.listener;
        return walk::pass_whole(s, BodyDirection::Request, &listener.hooks.request_body, place).await;
    }
    client::ask_for_body(s).await?;
    let listener = s.listener;
    let before = &listener.hooks.request_body[..place];
    loop {
        let patience = pace::await_body(s);
        s.timers.down.set(patience);
        let event = next_request_event(s).await?;
        pace::body_came(s);
        match event {
            BodyEvent::Data(count) => {
                s.state.info.bytes_received += count as u64;
                s.state.request_body.replace(s.client.data().as_slice());
                s.client.consume(count);
                walk::chunk(s, BodyDirection::Request, before, EndOfStream::More).await?;
                held::make_room(s, BodyDirection::Request, s.start.body).await?;
            }
            BodyEvent::End => {
                s.state.request_body.clear();
                let end = s.body_ends(BodyDirection::Request);
                walk::chunk(s, BodyDirection::Request, before, end).await?;
                walk::trailers(s, BodyDirection::Request, before).await?;
                held::make_room(s, BodyDirection::Request, s.start.body).await?;
                keep_chunk(s)?;
                break;
            }
        }
        keep_chunk(s)?;
    }
    s.timers.down.set(None);
    std::mem::swap(&mut s.state.request_body, &mut s.request_pass.whole);
    s.request_pass.whole = BodyBuffer::new();
    s.request_pass.hold = Hold::Whole;
    s.request_pass.passed = place;
    held::recount_here(s).await;
    Ok(())
}

fn keep_chunk(s: &mut Stream<'_>) -> Result<(), Stop> {
    let whole = &mut s.request_pass.whole;
    whole.append(s.state.request_body.as_slice());
    let chunk = &mut s.state.request_body;
    chunk.clear();
    chunk.shrink(SPARE_BYTES);
    if whole.len() > s.listener.config.limits.max_buffered_body {
        return Err(Stop::error(413, "buffered_body_too_large", ResponseFlags::TOO_LARGE, ResetBy::Downstream));
    }
    Ok(())
}

async fn next_request_event(s: &mut Stream<'_>) -> Result<BodyEvent, Stop> {
    poll_fn(|cx| {
        if let Poll::Ready(event) = s.client.poll_body(cx, &mut s.state.request_trailers) {
            if matches!(event, Ok(BodyEvent::End)) {
                measured::received(s);
            }
            return Poll::Ready(event.map_err(Stop::request_body));
        }
        // Who waits for the rest of a body needs no buffer for it.
        s.client.release();
        s.timers.down.poll(cx).map(|()| Err(s.pace.too_slow()))
    })
    .await
}

/// Collects the whole response body; each chunk first passes the streaming
/// filters in front of `place`. The request goes on meanwhile.
pub(crate) async fn collect_response(s: &mut Stream<'_>, attempt: &mut Attempt, place: usize) -> Result<(), Outcome> {
    let listener = s.listener;
    let before = &listener.hooks.response_body[..place];
    let announced = attempt.start.map_or(Announced::Open, |start| start.body);
    attempt.download = Download::Reading;
    loop {
        attempt.armed_at = None;
        match poll_fn(|cx| poll_held(s, cx, attempt)).await? {
            Event::RequestData(count) => filter_request_chunk(s, attempt, count).await?,
            Event::RequestEnd => filter_request_end(s, attempt).await?,
            Event::ResponseData(count) => {
                s.state.response_body.replace(attempt.upstream.data().as_slice());
                attempt.upstream.consume(count);
                walk::chunk(s, BodyDirection::Response, before, EndOfStream::More).await?;
                held::make_room(s, BodyDirection::Response, announced).await?;
                keep_response_chunk(s)?;
            }
            Event::ResponseEnd => {
                s.state.response_body.clear();
                let end = s.body_ends(BodyDirection::Response);
                walk::chunk(s, BodyDirection::Response, before, end).await?;
                walk::trailers(s, BodyDirection::Response, before).await?;
                held::make_room(s, BodyDirection::Response, announced).await?;
                keep_response_chunk(s)?;
                break;
            }
            Event::ResponseHead(_) | Event::Finished | Event::Switched => {}
        }
    }
    s.timers.up.set(None);
    s.timers.down.set(None);
    std::mem::swap(&mut s.state.response_body, &mut s.response_pass.whole);
    s.response_pass.whole = BodyBuffer::new();
    s.response_pass.hold = Hold::Whole;
    s.response_pass.passed = place;
    held::recount_here(s).await;
    Ok(())
}

fn keep_response_chunk(s: &mut Stream<'_>) -> Result<(), Stop> {
    let whole = &mut s.response_pass.whole;
    whole.append(s.state.response_body.as_slice());
    let chunk = &mut s.state.response_body;
    chunk.clear();
    chunk.shrink(SPARE_BYTES);
    if whole.len() > s.listener.config.limits.max_buffered_body {
        return Err(Stop::upstream(502, "buffered_response_too_large", ResponseFlags::TOO_LARGE));
    }
    Ok(())
}

fn poll_held(s: &mut Stream<'_>, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Outcome>> {
    if let Poll::Ready(event) = upload::poll(s, cx, attempt) {
        return Poll::Ready(event);
    }
    // A `100 Continue` may still be on its way.
    if let Poll::Ready(Err(_)) = s.client.poll_flush(cx) {
        return Poll::Ready(Err(Stop::client_gone().into()));
    }
    match attempt.upstream.poll_body(cx, &mut s.state.response_trailers) {
        Poll::Ready(Ok(BodyEvent::Data(count))) => Poll::Ready(Ok(Event::ResponseData(count))),
        Poll::Ready(Ok(BodyEvent::End)) => Poll::Ready(Ok(Event::ResponseEnd)),
        Poll::Ready(Err(fault)) => Poll::Ready(Err(Outcome::Broken(fault))),
        Poll::Pending => drive::poll_waiting(s, cx, attempt),
    }
}

pub(crate) async fn filter_request_chunk(s: &mut Stream<'_>, attempt: &mut Attempt, count: usize) -> Result<(), Stop> {
    s.state.request_body.replace(s.client.data().as_slice());
    s.client.consume(count);
    let listener = s.listener;
    walk::chunk(s, BodyDirection::Request, &listener.hooks.request_body, EndOfStream::More).await?;
    held::recount_here(s).await;
    attempt.upload = Upload::Buffered(EndOfStream::More);
    Ok(())
}

pub(crate) async fn filter_request_end(s: &mut Stream<'_>, attempt: &mut Attempt) -> Result<(), Stop> {
    let listener = s.listener;
    s.state.request_body.clear();
    let end = s.body_ends(BodyDirection::Request);
    walk::chunk(s, BodyDirection::Request, &listener.hooks.request_body, end).await?;
    walk::trailers(s, BodyDirection::Request, &listener.hooks.request_body).await?;
    attempt.upload = Upload::Buffered(EndOfStream::End);
    Ok(())
}

pub(crate) async fn filter_response_chunk(s: &mut Stream<'_>, attempt: &mut Attempt, count: usize) -> Result<(), Stop> {
    s.state.response_body.replace(attempt.upstream.data().as_slice());
    attempt.upstream.consume(count);
    let listener = s.listener;
    walk::chunk(s, BodyDirection::Response, &listener.hooks.response_body, EndOfStream::More).await?;
    held::recount_here(s).await;
    attempt.download = Download::Buffered(EndOfStream::More);
    Ok(())
}

pub(crate) async fn filter_response_end(s: &mut Stream<'_>, attempt: &mut Attempt) -> Result<(), Stop> {
    let listener = s.listener;
    s.state.response_body.clear();
    let end = s.body_ends(BodyDirection::Response);
    walk::chunk(s, BodyDirection::Response, &listener.hooks.response_body, end).await?;
    walk::trailers(s, BodyDirection::Response, &listener.hooks.response_body).await?;
    attempt.download = Download::Buffered(EndOfStream::End);
    Ok(())
}
