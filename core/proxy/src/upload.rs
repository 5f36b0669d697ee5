//! The request's way to the upstream.

use std::task::{Context, Poll};

use sidegate_api::{BodyDirection, EndOfStream, HeadState};
use sidegate_stream::{Announced, BodyEvent, Data};

use crate::body_pass::Hold;
use crate::halt::Halt;
use crate::held::SPARE_BYTES;
use crate::relay::{Attempt, Event, Upload};
use crate::stream::Stream;

impl Stream<'_> {
    /// Writes the request head and says where the body comes from.
    pub(crate) async fn begin_upload(&mut self, attempt: &mut Attempt) -> Result<(), Halt> {
        let listener = self.listener;
        let plan = &listener.plan;
        let held = self.request_pass.is_held();
        if held {
            self.pass_held(BodyDirection::Request, &plan.request_body, plan.request_body.len()).await?;
        }
        let announced = if let Some(before) = self.retry.announced {
            before
        } else if held {
            match (self.state.request_body.len(), self.state.request_trailers.is_empty()) {
                // As it came, with or without a length.
                (0, true) if self.request_pass.hold == Hold::Empty => self.start.body,
                (length, true) => Announced::Length(length as u64),
                (_, false) => Announced::Open,
            }
        } else if self.has_request_body() && self.edits(BodyDirection::Request)
            || !self.state.request_trailers.is_empty()
        {
            Announced::Open
        } else {
            self.start.body
        };
        self.retry.announced = Some(announced);
        attempt.upstream.start(&self.state.request, announced, &self.start);
        self.state.trailers_closed[BodyDirection::Request as usize] = !attempt.upstream.carries_trailers();
        self.state.request.state = HeadState::Sent;
        attempt.upload = if let Some(rest) = self.retry.take_rest() {
            attempt.rest = rest;
            Upload::Again(0)
        } else if self.has_request_body() && !held {
            Upload::Reading
        } else if held || announced == Announced::Open {
            Upload::Buffered(EndOfStream::End)
        } else {
            Upload::Flushing
        };
        Ok(())
    }

    pub(crate) fn poll_upload(&mut self, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Halt>> {
        let upstream = &mut attempt.upstream;
        loop {
            let step = match attempt.upload {
                Upload::Done | Upload::Broken => return Poll::Pending,
                Upload::Reading => match self.client.poll_body(cx, &mut self.state.request_trailers) {
                    Poll::Ready(Ok(BodyEvent::Data(count))) => {
                        self.state.info.bytes_received += count as u64;
                        if self.watches(BodyDirection::Request) {
                            return Poll::Ready(Ok(Event::RequestData(count)));
                        }
                        attempt.upload = Upload::Direct(count);
                        continue;
                    }
                    Poll::Ready(Ok(BodyEvent::End)) => {
                        self.note_received();
                        if self.watches(BodyDirection::Request) {
                            return Poll::Ready(Ok(Event::RequestEnd));
                        }
                        upstream.finish(&self.state.request_trailers);
                        attempt.upload = Upload::Flushing;
                        continue;
                    }
                    Poll::Ready(Err(fault)) => return Poll::Ready(Err(Halt::request_body(fault))),
                    // While the client is silent, what it sent so far goes out.
                    Poll::Pending => upstream.poll_flush(cx).map_ok(|()| None),
                },
                Upload::Again(sent) => {
                    let again = self.retry.kept.bytes().get(sent..).unwrap_or_default();
                    if again.is_empty() {
                        if attempt.rest == Upload::Flushing {
                            upstream.finish(&self.state.request_trailers);
                        }
                        attempt.upload = attempt.rest;
                        continue;
                    }
                    let step = upstream.poll_send(cx, Data::Slice(again));
                    step.map_ok(|count| Some(Upload::Again(sent + count)))
                }
                Upload::Direct(left) => {
                    let data = self.client.data();
                    let step = upstream.poll_send(cx, data);
                    if let Poll::Ready(Ok(count)) = step {
                        self.retry.kept.add(&data.as_slice()[..count]);
                    }
                    step.map_ok(|count| {
                        self.client.consume(count);
                        Some(if count == left { Upload::Reading } else { Upload::Direct(left - count) })
                    })
                }
                Upload::Buffered(end) if self.state.request_body.is_empty() => {
                    match end {
                        EndOfStream::More => attempt.upload = Upload::Reading,
                        EndOfStream::End => {
                            upstream.finish(&self.state.request_trailers);
                            attempt.upload = Upload::Flushing;
                            // The response may take its time.
                            self.state.request_body.shrink(SPARE_BYTES);
                            self.recount(Some(cx.waker()));
                        }
                    }
                    continue;
                }
                Upload::Buffered(end) => {
                    let body = &mut self.state.request_body;
                    upstream.poll_send(cx, Data::Slice(body.as_slice())).map_ok(|count| {
                        self.retry.kept.add(&body.as_slice()[..count]);
                        body.drain(count);
                        Some(Upload::Buffered(end))
                    })
                }
                Upload::Flushing => {
                    let sent = upstream.poll_flush(cx);
                    if self.mirror.is_some() && matches!(sent, Poll::Ready(Ok(()))) {
                        self.send_copies();
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
}
