//! The response's way to the client.

use std::task::{Context, Poll, ready};

use sidegate_api::{BodyDirection, EndOfStream};
use sidegate_stream::{BodyEvent, Data};

use crate::outcome::{Outcome, Sent, Stop};
use crate::relay::{Attempt, Event};
use crate::stream::{Download, Replay, Stream};

pub(crate) fn poll(s: &mut Stream<'_>, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Outcome>> {
    loop {
        let step = match attempt.download {
            Download::Head | Download::Interim => return poll_response_head(s, cx, attempt),
            Download::Reading => match attempt.upstream.poll_body(cx, &mut s.state.response_trailers) {
                Poll::Ready(Ok(BodyEvent::Data(count))) => {
                    if s.watches(BodyDirection::Response) {
                        return Poll::Ready(Ok(Event::ResponseData(count)));
                    }
                    attempt.download = Download::Direct(count);
                    continue;
                }
                Poll::Ready(Ok(BodyEvent::End)) => {
                    if s.watches(BodyDirection::Response) {
                        return Poll::Ready(Ok(Event::ResponseEnd));
                    }
                    s.client.finish(&s.state.response_trailers);
                    attempt.download = Download::Flushing;
                    continue;
                }
                Poll::Ready(Err(fault)) => {
                    return Poll::Ready(Err(Outcome::Broken(fault)));
                }
                Poll::Pending => s.client.poll_flush(cx).map_ok(|()| None),
            },
            Download::Direct(left) => s.client.poll_send(cx, attempt.upstream.data()).map_ok(|count| {
                attempt.upstream.consume(count);
                s.state.info.bytes_sent += count as u64;
                Some(if count == left { Download::Reading } else { Download::Direct(left - count) })
            }),
            Download::Buffered(end) if s.state.response_body.is_empty() => {
                match end {
                    EndOfStream::More => attempt.download = Download::Reading,
                    EndOfStream::End => {
                        s.client.finish(&s.state.response_trailers);
                        attempt.download = Download::Flushing;
                    }
                }
                continue;
            }
            Download::Buffered(end) => {
                let body = &mut s.state.response_body;
                s.client.poll_send(cx, Data::Slice(body.as_slice())).map_ok(|count| {
                    body.drain(count);
                    s.state.info.bytes_sent += count as u64;
                    Some(Download::Buffered(end))
                })
            }
            Download::Flushing => match s.client.poll_flush(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(Event::Finished)),
                other => other.map_ok(|()| None),
            },
        };
        match step {
            Poll::Ready(Ok(Some(next))) => attempt.download = next,
            Poll::Ready(Ok(None)) | Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(_)) => return Poll::Ready(Err(Stop::client_gone().into())),
        }
    }
}

/// Informational responses go to the client as they come, each before
/// the next is read: a client that takes none stops the upstream. The
/// final head comes out.
fn poll_response_head(s: &mut Stream<'_>, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Outcome>> {
    loop {
        if !s.client.is_flushed() {
            attempt.download = Download::Interim;
            if ready!(s.client.poll_flush(cx)).is_err() {
                return Poll::Ready(Err(Stop::client_gone().into()));
            }
        }
        attempt.download = Download::Head;
        let limits = &s.listener.response_limits;
        let (request, response) = (&s.state.request, &mut s.state.response);
        let start = match ready!(attempt.upstream.poll_head(cx, limits, &request.method, response)) {
            Ok(start) => start,
            Err(error) => {
                s.state.response.status = 0;
                s.state.response.headers.clear();
                let sent = what_was_sent(s);
                return Poll::Ready(Err(Outcome::no_response(error, &attempt.upstream, &s.state.request.method, sent)));
            }
        };
        match s.state.response.status {
            200.. => return Poll::Ready(Ok(Event::ResponseHead(start))),
            101 => return Poll::Ready(Ok(Event::Switched)),
            _ => {}
        }
        s.client.interim(&s.state.response);
        s.state.response.status = 0;
    }
}

/// What there is of the request for another attempt at once.
fn what_was_sent(s: &Stream<'_>) -> Sent {
    let body = s.retry.announced.unwrap_or(s.start.body);
    let whole = body.is_empty() || matches!(s.retry.replay, Replay::Kept(_));
    if whole && s.retry.may_repeat() { Sent::Kept } else { Sent::Lost }
}
