//! The response's way to the client.

use std::task::{Context, Poll, ready};

use sidegate_api::{BodyDirection, EndOfStream, Protocol, ResponseFlags};
use sidegate_protocol::http1::{Persistence, ResponseFraming, encode_response_head};
use sidegate_stream::{BodyEvent, ClientError};
use sidegate_upstream::Outcome;

use crate::halt::Halt;
use crate::relay::{Attempt, Download, Event, RequestEnd};
use crate::stream::Stream;

impl Stream<'_> {
    pub(crate) fn poll_download(&mut self, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Halt>> {
        loop {
            let step = match attempt.download {
                Download::Head | Download::Interim => return self.poll_response_head(cx, attempt),
                Download::Reading => match attempt.connection.wire.poll_body(cx, &mut self.state.response_trailers) {
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
                        self.down.wire.output.finish(&self.state.response_trailers);
                        attempt.download = Download::Flushing;
                        continue;
                    }
                    Poll::Ready(Err(fault)) => {
                        attempt.count.end = RequestEnd::ByHost;
                        return Poll::Ready(Err(Halt::response_body(fault)));
                    }
                    Poll::Pending => self.down.wire.poll_flush(cx).map_ok(|()| None),
                },
                Download::Direct(left) => {
                    let down = &mut self.down.wire;
                    let data = &attempt.connection.wire.input.filled()[..left];
                    down.output.poll_data(cx, &mut down.socket, data).map_ok(|count| {
                        attempt.connection.wire.take_body(count);
                        self.state.info.bytes_sent += count as u64;
                        Some(if count == left { Download::Reading } else { Download::Direct(left - count) })
                    })
                }
                Download::Buffered(end) if self.state.response_body.is_empty() => {
                    match end {
                        EndOfStream::More => attempt.download = Download::Reading,
                        EndOfStream::End => {
                            self.down.wire.output.finish(&self.state.response_trailers);
                            attempt.download = Download::Flushing;
                        }
                    }
                    continue;
                }
                Download::Buffered(end) => {
                    let down = &mut self.down.wire;
                    let body = &mut self.state.response_body;
                    down.output.poll_data(cx, &mut down.socket, body.as_slice()).map_ok(|count| {
                        body.drain(count);
                        self.state.info.bytes_sent += count as u64;
                        Some(Download::Buffered(end))
                    })
                }
                Download::Flushing => match self.down.wire.poll_flush(cx) {
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
            if !self.down.wire.output.is_flushed() {
                attempt.download = Download::Interim;
                if ready!(self.down.wire.poll_flush(cx)).is_err() {
                    return Poll::Ready(Err(Halt::client_gone()));
                }
            }
            attempt.download = Download::Head;
            let limits = &self.listener.response_limits;
            let (request, response) = (&self.state.request, &mut self.state.response);
            let meta = match ready!(attempt.connection.poll_head(cx, limits, &request.method, response)) {
                Ok(meta) => meta,
                Err(error) => {
                    self.state.response.status = 0;
                    self.state.response.headers.clear();
                    return Poll::Ready(self.upstream_failed(attempt, error));
                }
            };
            match self.state.response.status {
                200.. => return Poll::Ready(Ok(Event::ResponseHead(meta))),
                101 => return Poll::Ready(Ok(Event::Switched)),
                _ => {}
            }
            if self.meta.version == Protocol::Http11 {
                let (output, head) = (self.down.wire.output.head(), &self.state.response);
                let framing = ResponseFraming::NoBody;
                let case = self.listener.config.header_case;
                encode_response_head(output, head, framing, Protocol::Http11, Persistence::KeepAlive, b"", case);
            }
            self.state.response.status = 0;
        }
    }

    fn upstream_failed(&self, attempt: &mut Attempt, error: ClientError) -> Result<Event, Halt> {
        attempt.count.end = RequestEnd::ByHost;
        let silent = matches!(error, ClientError::ClosedBeforeResponse | ClientError::Io(_))
            && !attempt.connection.is_answered();
        if silent && attempt.connection.is_reused() && self.can_repeat() {
            return Ok(Event::Stale);
        }
        attempt.count.report(Outcome::Reset);
        let halt = match error {
            ClientError::ClosedBeforeResponse => {
                Halt::upstream(502, "upstream_closed_before_response", ResponseFlags::UPSTREAM_CLOSED)
            }
            ClientError::ClosedInHead => Halt::upstream(502, "upstream_closed_in_head", ResponseFlags::UPSTREAM_CLOSED),
            ClientError::Refused(error) => Halt::upstream(502, error.details, ResponseFlags::UPSTREAM_PROTOCOL),
            ClientError::Io(_) => Halt::upstream(502, "upstream_reset", ResponseFlags::UPSTREAM_CLOSED),
        };
        if silent { Ok(Event::Lost(halt)) } else { Err(halt) }
    }
}
