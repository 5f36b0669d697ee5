//! The request's way to the upstream.

use std::task::{Context, Poll};

use sidegate_api::{BodyDirection, EndOfStream};
use sidegate_stream::{BodyEvent, Data};

use crate::mirror::fan;
use crate::outcome::{Outcome, Stop};
use crate::relay::{Attempt, Event};
use crate::stream::{SPARE_BYTES, Stream, Upload, held, measured};

pub(crate) fn poll(s: &mut Stream<'_>, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Outcome>> {
    let upstream = &mut attempt.upstream;
    loop {
        let step = match attempt.upload {
            Upload::Done | Upload::Broken => return Poll::Pending,
            Upload::Reading => match s.client.poll_body(cx, &mut s.state.request_trailers) {
                Poll::Ready(Ok(BodyEvent::Data(count))) => {
                    s.state.info.bytes_received += count as u64;
                    if s.watches(BodyDirection::Request) {
                        return Poll::Ready(Ok(Event::RequestData(count)));
                    }
                    attempt.upload = Upload::Direct(count);
                    continue;
                }
                Poll::Ready(Ok(BodyEvent::End)) => {
                    measured::received(s);
                    if s.watches(BodyDirection::Request) {
                        return Poll::Ready(Ok(Event::RequestEnd));
                    }
                    upstream.finish(&s.state.request_trailers);
                    attempt.upload = Upload::Flushing;
                    continue;
                }
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(Stop::request_body(fault).into())),
                // While the client is silent, what it sent so far goes out.
                Poll::Pending => upstream.poll_flush(cx).map_ok(|()| None),
            },
            Upload::Again(sent) => {
                let again = s.retry.replay.bytes().get(sent..).unwrap_or_default();
                if again.is_empty() {
                    if attempt.rest == Upload::Flushing {
                        upstream.finish(&s.state.request_trailers);
                    }
                    attempt.upload = attempt.rest;
                    continue;
                }
                let step = upstream.poll_send(cx, Data::Slice(again));
                step.map_ok(|count| Some(Upload::Again(sent + count)))
            }
            Upload::Direct(left) => {
                let data = s.client.data();
                let step = upstream.poll_send(cx, data);
                if let Poll::Ready(Ok(count)) = step {
                    s.retry.replay.add(&data.as_slice()[..count]);
                }
                step.map_ok(|count| {
                    s.client.consume(count);
                    Some(if count == left { Upload::Reading } else { Upload::Direct(left - count) })
                })
            }
            Upload::Buffered(end) if s.state.request_body.is_empty() => {
                match end {
                    EndOfStream::More => attempt.upload = Upload::Reading,
                    EndOfStream::End => {
                        upstream.finish(&s.state.request_trailers);
                        attempt.upload = Upload::Flushing;
                        // The response may take its time.
                        s.state.request_body.shrink(SPARE_BYTES);
                        held::recount(s, Some(cx.waker()));
                    }
                }
                continue;
            }
            Upload::Buffered(end) => {
                let body = &mut s.state.request_body;
                upstream.poll_send(cx, Data::Slice(body.as_slice())).map_ok(|count| {
                    s.retry.replay.add(&body.as_slice()[..count]);
                    body.drain(count);
                    Some(Upload::Buffered(end))
                })
            }
            Upload::Flushing => {
                let sent = upstream.poll_flush(cx);
                if s.mirror.is_some() && matches!(sent, Poll::Ready(Ok(()))) {
                    fan::send_copies(s);
                }
                sent.map_ok(|()| Some(Upload::Done))
            }
        };
        match step {
            Poll::Ready(Ok(Some(next))) => attempt.upload = next,
            Poll::Ready(Ok(None)) | Poll::Pending => return Poll::Pending,
            // The host may have answered before it closed: its response
            // decides.
            Poll::Ready(Err(_)) => {
                attempt.rest = attempt.upload.left(attempt.rest);
                attempt.upload = Upload::Broken;
            }
        }
    }
}
