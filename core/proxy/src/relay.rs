//! Both directions of one attempt, moved by one poll function.
//!
//! ```text
//!  client ──▶ upload   ──▶ upstream      head and body of the request
//!  client ◀── download ◀── upstream      head and body of the response
//! ```
//!
//! Body bytes go from one connection's read buffer to the other's socket; only
//! where a filter wants them do they make a stop in the stream's buffer.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use sidegate_api::{BodyDirection, EndOfStream, HeadState, Protocol, ResponseFlags};
use sidegate_protocol::http1::{
    BodyLength, Persistence, ResponseFraming, ResponseMeta, encode_request_head, encode_response_head,
};
use sidegate_stream::{BodyEvent, ClientConnection, ClientError};
use sidegate_upstream::{Host, Outcome};

use crate::body_pass::Hold;
use crate::halt::Halt;
use crate::stream::{After, Stream};
use crate::view::ClusterView;

/// One request on one upstream connection.
pub(crate) struct Attempt {
    pub(crate) connection: ClientConnection,
    count: RequestCount,
    pub(crate) upload: Upload,
    pub(crate) download: Download,
    /// Set once the response head is there.
    pub(crate) meta: Option<ResponseMeta>,
    /// Where both directions stood when deadlines were last set.
    pub(crate) armed_at: Option<(Upload, Download, u64)>,
}

/// Counts one request to a host; as failed unless it is told of a response.
struct RequestCount {
    cluster: Rc<ClusterView>,
    position: usize,
    started: Instant,
    status: u16,
}

impl RequestCount {
    fn host(&self) -> &Host {
        &self.cluster.cluster.members()[self.position].host
    }

    /// Tells the cluster what came of the attempt: once, before it ends. An
    /// attempt that ends for the client's sake says nothing about the host.
    fn report(&self, outcome: Outcome) {
        self.cluster.cluster.report(self.position, outcome, self.started);
    }
}

impl Drop for RequestCount {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let failed = self.status == 0 || self.status >= 500;
        self.host().count(|m| {
            m.request_active.dec();
            m.request_duration_time.observe(elapsed.as_secs_f64() * 1000.0);
            m.request_duration_time_total.add(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
            if failed { m.response_failed.inc() } else { m.response_success.inc() }
        });
    }
}

/// How far the request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upload {
    /// The next part of the body is wanted from the client.
    Reading,
    /// So many bytes of the client's buffer are on their way.
    Direct(usize),
    /// The stream's buffer is on its way; then more, or the end.
    Buffered(EndOfStream),
    /// All bytes are known; what waits is written out.
    Flushing,
    /// Everything is sent.
    Done,
    /// The upstream takes no more; its response may still come.
    Broken,
}

/// How far the response has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Download {
    /// The head is wanted.
    Head,
    /// The next part of the body is wanted.
    Reading,
    /// So many bytes of the upstream's buffer are on their way.
    Direct(usize),
    /// The stream's buffer is on its way; then more, or the end.
    Buffered(EndOfStream),
    /// All bytes are known; what waits is written out.
    Flushing,
}

/// What the relay needs filters for, or that it is done.
#[derive(Debug)]
pub(crate) enum Event {
    RequestData(usize),
    RequestEnd,
    ResponseHead(ResponseMeta),
    ResponseData(usize),
    ResponseEnd,
    Finished,
    Stale,
}

/// How an attempt ended.
pub(crate) enum Relayed {
    Done(After),
    /// A pooled connection was closed before the request reached anybody.
    StaleConnection,
}

impl Attempt {
    /// An attempt at the member at `position` of `cluster`.
    pub(crate) fn new(connection: ClientConnection, cluster: Rc<ClusterView>, position: usize) -> Self {
        let count = RequestCount { cluster, position, started: Instant::now(), status: 0 };
        count.host().count(|m| {
            m.request_total.inc();
            m.request_active.inc();
        });
        Attempt { connection, count, upload: Upload::Reading, download: Download::Head, meta: None, armed_at: None }
    }

    /// When the request was handed over.
    pub(crate) fn started(&self) -> Instant {
        self.count.started
    }

    /// The connection, if it can carry another request.
    pub(crate) fn into_reusable(self) -> Option<ClientConnection> {
        let persists = self.meta.is_some_and(|meta| meta.persistence == Persistence::KeepAlive);
        (self.upload == Upload::Done && persists && self.connection.is_clean()).then_some(self.connection)
    }
}

impl Stream<'_> {
    /// Sends the request and brings the response to the client.
    pub(crate) async fn relay(&mut self, attempt: &mut Attempt) -> Result<Relayed, Halt> {
        let result = self.relay_to_end(attempt).await;
        self.timers.up.set(None);
        self.timers.down.set(None);
        result
    }

    async fn relay_to_end(&mut self, attempt: &mut Attempt) -> Result<Relayed, Halt> {
        self.down.wire.input.release();
        self.note_attempt(attempt);
        self.begin_upload(attempt).await?;
        loop {
            let event = poll_fn(|cx| self.poll_relay(cx, attempt)).await?;
            match event {
                Event::RequestData(count) => self.filter_request_chunk(attempt, count).await?,
                Event::RequestEnd => self.filter_request_end(attempt).await?,
                Event::ResponseHead(meta) => {
                    attempt.meta = Some(meta);
                    attempt.count.status = self.state.response.status;
                    attempt.count.report(Outcome::Status(attempt.count.status));
                    let elapsed = self.state.info.start.map(|start| start.elapsed()).unwrap_or_default();
                    self.state.info.upstream_us = u64::try_from(elapsed.as_micros()).ok();
                    self.respond(attempt, meta).await?;
                }
                Event::ResponseData(count) => self.filter_response_chunk(attempt, count).await?,
                Event::ResponseEnd => self.filter_response_end(attempt).await?,
                Event::Finished => return Ok(Relayed::Done(self.after(attempt))),
                Event::Stale => return Ok(Relayed::StaleConnection),
            }
            // Time that filters took is nobody else's.
            attempt.armed_at = None;
        }
    }

    /// Writes the request head and says where the body comes from.
    async fn begin_upload(&mut self, attempt: &mut Attempt) -> Result<(), Halt> {
        let listener = self.listener.clone();
        let plan = &listener.plan;
        let held = self.request_pass.hold == Hold::Whole;
        if held {
            self.pass_held(BodyDirection::Request, &plan.request_body, plan.request_body.len()).await?;
        }
        let framing = if held {
            match self.state.request_trailers.is_empty() {
                true => BodyLength::Length(self.state.request_body.len() as u64),
                false => BodyLength::Chunked,
            }
        } else if self.has_request_body() && self.edits(BodyDirection::Request) {
            BodyLength::Chunked
        } else {
            self.meta.body
        };
        let output = &mut attempt.connection.wire.output;
        encode_request_head(output.head(), &self.state.request, framing, self.meta.expect);
        output.start_body(framing);
        self.state.request.state = HeadState::Sent;
        attempt.upload = if held {
            Upload::Buffered(EndOfStream::End)
        } else if self.has_request_body() {
            Upload::Reading
        } else {
            Upload::Flushing
        };
        Ok(())
    }

    fn poll_relay(&mut self, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Halt>> {
        if let Poll::Ready(event) = self.poll_upload(cx, attempt) {
            return Poll::Ready(event);
        }
        if let Poll::Ready(event) = self.poll_download(cx, attempt) {
            return Poll::Ready(event);
        }
        self.poll_waiting(cx, attempt)
    }

    /// While neither direction moves: deadlines, and whether the client is
    /// still there.
    pub(crate) fn poll_waiting(&mut self, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Halt>> {
        self.arm(attempt);
        if attempt.upload == Upload::Done
            && let Poll::Ready(gone) = self.poll_client_gone(cx)
        {
            return Poll::Ready(Err(gone));
        }
        if self.timers.down.poll(cx).is_ready() {
            return Poll::Ready(Err(match attempt.download {
                Download::Head | Download::Reading => Halt::client_stalled(),
                Download::Direct(_) | Download::Buffered(_) | Download::Flushing => Halt::client_takes_nothing(),
            }));
        }
        if self.timers.up.poll(cx).is_ready() {
            attempt.count.host().count(|m| m.request_timeout.inc());
            if attempt.count.status == 0 {
                attempt.count.report(Outcome::Timeout);
            }
            return Poll::Ready(Err(Halt::upstream_stalled()));
        }
        Poll::Pending
    }

    /// Sets the deadlines of the sides that we wait for, if there was progress
    /// since they were set.
    fn arm(&self, attempt: &mut Attempt) {
        let moved = self.state.info.bytes_received + self.state.info.bytes_sent;
        let now = Some((attempt.upload, attempt.download, moved));
        if attempt.armed_at == now {
            return;
        }
        attempt.armed_at = now;
        let timeouts = &self.listener.config.timeouts;
        let response = self.response_timeout();
        let down = match (attempt.upload, attempt.download) {
            (Upload::Reading, Download::Head) => timeouts.request_body_idle,
            (_, Download::Direct(_) | Download::Buffered(_) | Download::Flushing) => timeouts.response_write_idle,
            (Upload::Reading, _) => timeouts.request_body_idle,
            _ => None,
        };
        let up = match (attempt.upload, attempt.download) {
            (Upload::Direct(_) | Upload::Buffered(_) | Upload::Flushing, _) => response,
            (Upload::Done | Upload::Broken, Download::Head | Download::Reading) => response,
            _ => None,
        };
        self.timers.down.set(down);
        self.timers.up.set(up);
        self.still_reading();
    }

    pub(crate) fn poll_upload(&mut self, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Halt>> {
        let wire = &mut attempt.connection.wire;
        loop {
            let step = match attempt.upload {
                Upload::Done | Upload::Broken => return Poll::Pending,
                Upload::Reading => match self.down.wire.poll_body(cx, &mut self.state.request_trailers) {
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
                        wire.output.finish(&self.state.request_trailers);
                        attempt.upload = Upload::Flushing;
                        continue;
                    }
                    Poll::Ready(Err(fault)) => return Poll::Ready(Err(Halt::request_body(fault))),
                    // While the client is silent, what it sent so far goes out.
                    Poll::Pending => wire.poll_flush(cx).map_ok(|()| None),
                },
                Upload::Direct(left) => {
                    let data = &self.down.wire.input.filled()[..left];
                    wire.output.poll_data(cx, &mut wire.socket, data).map_ok(|count| {
                        self.down.wire.input.consume(count);
                        Some(if count == left { Upload::Reading } else { Upload::Direct(left - count) })
                    })
                }
                Upload::Buffered(end) if self.state.request_body.is_empty() => {
                    match end {
                        EndOfStream::More => attempt.upload = Upload::Reading,
                        EndOfStream::End => {
                            wire.output.finish(&self.state.request_trailers);
                            attempt.upload = Upload::Flushing;
                        }
                    }
                    continue;
                }
                Upload::Buffered(end) => {
                    let body = &mut self.state.request_body;
                    wire.output.poll_data(cx, &mut wire.socket, body.as_slice()).map_ok(|count| {
                        body.drain(count);
                        Some(Upload::Buffered(end))
                    })
                }
                Upload::Flushing => wire.poll_flush(cx).map_ok(|()| Some(Upload::Done)),
            };
            match step {
                Poll::Ready(Ok(Some(next))) => attempt.upload = next,
                Poll::Ready(Ok(None)) | Poll::Pending => return Poll::Pending,
                // The host may have answered before it closed: its response
                // decides.
                Poll::Ready(Err(_)) => attempt.upload = Upload::Broken,
            }
        }
    }

    fn poll_download(&mut self, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Halt>> {
        loop {
            let step = match attempt.download {
                Download::Head => match self.poll_response_head(cx, attempt) {
                    Poll::Ready(event) => return Poll::Ready(event),
                    Poll::Pending => return self.poll_interim(cx),
                },
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
                    Poll::Ready(Err(fault)) => return Poll::Ready(Err(Halt::response_body(fault))),
                    Poll::Pending => self.down.wire.poll_flush(cx).map_ok(|()| None),
                },
                Download::Direct(left) => {
                    let down = &mut self.down.wire;
                    let data = &attempt.connection.wire.input.filled()[..left];
                    down.output.poll_data(cx, &mut down.socket, data).map_ok(|count| {
                        attempt.connection.wire.input.consume(count);
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

    /// Informational responses go to the client as they come; the final head
    /// comes out.
    fn poll_response_head(&mut self, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Halt>> {
        loop {
            let limits = &self.listener.response_limits;
            let (request, response) = (&self.state.request, &mut self.state.response);
            let polled = attempt.connection.poll_head(cx, limits, &request.method, response);
            let meta = match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(meta)) => meta,
                Poll::Ready(Err(error)) => {
                    self.state.response.status = 0;
                    self.state.response.headers.clear();
                    return Poll::Ready(self.upstream_failed(attempt, error));
                }
            };
            if self.state.response.status >= 200 {
                return Poll::Ready(Ok(Event::ResponseHead(meta)));
            }
            if self.meta.version == Protocol::Http11 {
                let (output, head) = (self.down.wire.output.head(), &self.state.response);
                let framing = ResponseFraming::NoBody;
                encode_response_head(output, head, framing, Protocol::Http11, Persistence::KeepAlive, b"");
            }
            self.state.response.status = 0;
        }
    }

    /// Writes out informational responses.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Halt>> {
        match self.down.wire.poll_flush(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(Err(Halt::client_gone())),
            _ => Poll::Pending,
        }
    }

    fn upstream_failed(&self, attempt: &Attempt, error: ClientError) -> Result<Event, Halt> {
        attempt.count.host().count(|m| m.request_remote_reset.inc());
        let silent = matches!(error, ClientError::ClosedBeforeResponse | ClientError::Io(_));
        if silent
            && attempt.connection.is_reused()
            && !self.has_request_body()
            && self.state.request.method.is_idempotent()
        {
            return Ok(Event::Stale);
        }
        attempt.count.report(Outcome::Reset);
        Err(match error {
            ClientError::ClosedBeforeResponse => {
                Halt::upstream(502, "upstream_closed_before_response", ResponseFlags::UPSTREAM_CLOSED)
            }
            ClientError::ClosedInHead => Halt::upstream(502, "upstream_closed_in_head", ResponseFlags::UPSTREAM_CLOSED),
            ClientError::Refused(error) => Halt::upstream(502, error.details, ResponseFlags::UPSTREAM_PROTOCOL),
            ClientError::Io(_) => Halt::upstream(502, "upstream_reset", ResponseFlags::UPSTREAM_CLOSED),
        })
    }

    fn after(&self, attempt: &Attempt) -> After {
        let uploaded = attempt.upload == Upload::Done;
        if uploaded && self.sent_persistence == Persistence::KeepAlive { After::KeepAlive } else { After::Close }
    }
}
