//! The response's way to the client.

use std::task::{Context, Poll, ready};

use sidegate_api::{BodyDirection, EndOfStream, ResponseFlags};
use sidegate_stream::{BodyEvent, ClientError, Data};
use sidegate_upstream::Outcome;

use crate::halt::Halt;
use crate::relay::{Attempt, Download, Event, RequestEnd};
use crate::stream::Stream;

impl Stream<'_> {
    pub(crate) fn poll_download(&mut self, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Halt>> {
        loop {
            let step = match attempt.download {
                Download::Head | Download::Interim => return self.poll_response_head(cx, attempt),
                Download::Reading => match attempt.upstream.poll_body(cx, &mut self.state.response_trailers) {
                    Poll::Ready(Ok(BodyEvent::Data(count))) => {
                        if self.watches(BodyDirection::Response) {
                            return Poll::Ready(Ok(Event::ResponseData(count)));
                        }
                        attempt.download = Download::Direct(count);
                        continue;
                    }
                    Poll::Ready(Ok(BodyEvent::End)) => {
                        if self.watches(BodyDirection::Response) {
                            return Poll::Ready(Ok(Event::ResponseEnd));
                        }
                        self.client.finish(&self.state.response_trailers);
                        attempt.download = Download::Flushing;
                        continue;
                    }
                    Poll::Ready(Err(fault)) => {
                        attempt.count.end = RequestEnd::ByHost;
                        return Poll::Ready(Err(Halt::response_body(fault)));
                    }
                    Poll::Pending => self.client.poll_flush(cx).map_ok(|()| None),
                },
                Download::Direct(left) => self.client.poll_send(cx, attempt.upstream.data()).map_ok(|count| {
                    attempt.upstream.consume(count);
                    self.state.info.bytes_sent += count as u64;
                    Some(if count == left { Download::Reading } else { Download::Direct(left - count) })
                }),
                Download::Buffered(end) if self.state.response_body.is_empty() => {
                    match end {
                        EndOfStream::More => attempt.download = Download::Reading,
                        EndOfStream::End => {
                            self.client.finish(&self.state.response_trailers);
                            attempt.download = Download::Flushing;
                        }
                    }
                    continue;
                }
                Download::Buffered(end) => {
                    let body = &mut self.state.response_body;
                    self.client.poll_send(cx, Data::Slice(body.as_slice())).map_ok(|count| {
                        body.drain(count);
                        self.state.info.bytes_sent += count as u64;
                        Some(Download::Buffered(end))
                    })
                }
                Download::Flushing => match self.client.poll_flush(cx) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Ok(Event::Finished)),
                    other => other.map_ok(|()| None),
                },
            };
            match step {
                Poll::Ready(Ok(Some(next))) => attempt.download = next,
                Poll::Ready(Ok(None)) | Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Halt::client_gone())),
            }
        }
    }

    /// Informational responses go to the client as they come, each before
    /// the next is read: a client that takes none stops the upstream. The
    /// final head comes out.
    fn poll_response_head(&mut self, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Halt>> {
        loop {
            if !self.client.is_flushed() {
                attempt.download = Download::Interim;
                if ready!(self.client.poll_flush(cx)).is_err() {
                    return Poll::Ready(Err(Halt::client_gone()));
                }
            }
            attempt.download = Download::Head;
            let limits = &self.listener.response_limits;
            let (request, response) = (&self.state.request, &mut self.state.response);
            let start = match ready!(attempt.upstream.poll_head(cx, limits, &request.method, response)) {
                Ok(start) => start,
                Err(error) => {
                    self.state.response.status = 0;
                    self.state.response.headers.clear();
                    return Poll::Ready(self.upstream_failed(attempt, error));
                }
            };
            match self.state.response.status {
                200.. => return Poll::Ready(Ok(Event::ResponseHead(start))),
                101 => return Poll::Ready(Ok(Event::Switched)),
                _ => {}
            }
            self.client.interim(&self.state.response);
            self.state.response.status = 0;
        }
    }

    fn upstream_failed(&self, attempt: &mut Attempt, error: ClientError) -> Result<Event, Halt> {
        attempt.count.end = RequestEnd::ByHost;
        let silent =
            matches!(error, ClientError::ClosedBeforeResponse | ClientError::NotProcessed | ClientError::Io(_))
                && !attempt.upstream.is_answered();
        if silent && attempt.upstream.is_reused() && self.can_repeat() {
            return Ok(Event::Stale);
        }
        attempt.count.report(Outcome::Reset);
        let halt = match error {
            ClientError::ClosedBeforeResponse => {
                Halt::upstream(502, "upstream_closed_before_response", ResponseFlags::UPSTREAM_CLOSED)
            }
            ClientError::ClosedInHead => Halt::upstream(502, "upstream_closed_in_head", ResponseFlags::UPSTREAM_CLOSED),
            ClientError::Refused(error) => Halt::upstream(502, error.details, ResponseFlags::UPSTREAM_PROTOCOL),
            ClientError::NotProcessed | ClientError::Io(_) => {
                Halt::upstream(502, "upstream_reset", ResponseFlags::UPSTREAM_CLOSED)
            }
        };
        if silent { Ok(Event::Lost(halt)) } else { Err(halt) }
    }
}
