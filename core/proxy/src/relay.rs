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
use std::time::{Duration, Instant};

use sidegate_api::EndOfStream;
use sidegate_net::Traffic;
use sidegate_stream::{End, ResponseStart, Upstream};
use sidegate_upstream::{Host, Outcome};

use crate::halt::Halt;
use crate::stream::Stream;
use crate::view::ClusterView;

/// One request on one upstream connection.
pub(crate) struct Attempt {
    pub(crate) upstream: Upstream,
    pub(crate) count: RequestCount,
    pub(crate) upload: Upload,
    pub(crate) download: Download,
    /// Set once the response head is there.
    pub(crate) start: Option<ResponseStart>,
    /// Where both directions stood when deadlines were last set.
    pub(crate) armed_at: Option<(Upload, Download, u64)>,
    /// Which bound the upstream's deadline is.
    bound: Bound,
    /// Where the upload goes on after [`Upload::Again`], and where it stood
    /// when it broke.
    pub(crate) rest: Upload,
}

/// What the time for a response belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// All attempts together: there is no other after it.
    Request,
    /// This attempt.
    Attempt,
}

/// Counts one request to a host; as failed unless it is told of a response.
pub(crate) struct RequestCount {
    pub(crate) cluster: Rc<ClusterView>,
    position: usize,
    started: Instant,
    /// Read once for all that is measured at the end.
    ended: Option<Instant>,
    pub(crate) status: u16,
    pub(crate) end: RequestEnd,
}

/// How a request to a host ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestEnd {
    /// It did not: we gave it up.
    GivenUp,
    /// With its whole response.
    Whole,
    /// The host broke it off, or answered what is no HTTP.
    ByHost,
    /// Its time was up.
    TimedOut,
}

impl RequestCount {
    pub(crate) fn new(cluster: Rc<ClusterView>, position: usize) -> Self {
        let count = RequestCount {
            cluster,
            position,
            started: Instant::now(),
            ended: None,
            status: 0,
            end: RequestEnd::GivenUp,
        };
        count.host().count(|m| {
            m.request_total.inc();
            m.request_active.inc();
        });
        count
    }

    /// Of the host in its cluster.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn host(&self) -> &Host {
        &self.cluster.cluster.members()[self.position].host
    }

    /// Counts what went over the connection since it stood at `before`.
    pub(crate) fn traffic(&self, before: Traffic, now: Traffic) {
        self.host().count(|m| {
            m.connection_bytes_read_total.add(now.read - before.read);
            m.connection_bytes_write.add(now.written - before.written);
        });
    }

    /// Tells the cluster what came of the attempt: once, before it ends. An
    /// attempt that ends for the client's sake says nothing about the host.
    pub(crate) fn report(&self, outcome: Outcome) {
        self.cluster.cluster.report(self.position, outcome, self.started);
    }
}

impl Drop for RequestCount {
    fn drop(&mut self) {
        let elapsed = self.ended.unwrap_or_else(Instant::now).saturating_duration_since(self.started);
        let answered = self.status != 0;
        let failed = !answered || self.status >= 500;
        // Not `as_nanos`, which counts in 128 bits: this runs for each request.
        let nanos = elapsed.as_secs().saturating_mul(1_000_000_000).saturating_add(elapsed.subsec_nanos().into());
        self.host().count(|m| {
            m.request_active.dec();
            if answered {
                m.request_duration_time.observe(elapsed.as_secs_f64() * 1000.0);
                m.request_duration_time_total.add(nanos);
            }
            if failed {
                m.response_failed.inc()
            } else {
                m.response_success.inc()
            }
            match self.end {
                RequestEnd::Whole => {}
                RequestEnd::GivenUp => m.request_local_reset.inc(),
                RequestEnd::ByHost => m.request_remote_reset.inc(),
                RequestEnd::TimedOut => m.request_timeout.inc(),
            }
        });
    }
}

/// How far the request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upload {
    /// The next part of the body is wanted from the client.
    Reading,
    /// What a former attempt sent is on its way again; so much of it went.
    Again(usize),
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
    /// As that, once the client has taken an informational response.
    Interim,
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
    ResponseHead(ResponseStart),
    ResponseData(usize),
    ResponseEnd,
    Finished,
    /// A pooled connection was closed before the request reached anybody.
    Stale,
    /// No response came; another attempt may bring one.
    Lost(Halt),
    /// The upstream agrees to speak another protocol from here on.
    Switched,
}

/// How an attempt ended.
pub(crate) enum Relayed {
    Done(End),
    /// A pooled connection was closed before the request reached anybody.
    StaleConnection,
    /// It failed, and the request may be sent again.
    Failed,
}

impl Upload {
    /// Whether there is anything left to do. Asked before a call that would
    /// find out the same.
    #[inline]
    pub(crate) fn goes_on(self) -> bool {
        !matches!(self, Upload::Done | Upload::Broken)
    }

    /// What is left, without what was sent; `rest` where that is for the
    /// attempt to say.
    pub(crate) fn left(self, rest: Upload) -> Upload {
        match self {
            Upload::Again(_) | Upload::Broken => rest,
            Upload::Flushing | Upload::Done => Upload::Flushing,
            Upload::Reading | Upload::Direct(_) | Upload::Buffered(_) => self,
        }
    }
}

impl Attempt {
    /// An attempt at the member at `position` of `cluster`.
    pub(crate) fn new(upstream: Upstream, cluster: Rc<ClusterView>, position: usize) -> Self {
        let count = RequestCount::new(cluster, position);
        Attempt {
            upstream,
            count,
            upload: Upload::Reading,
            download: Download::Head,
            start: None,
            armed_at: None,
            bound: Bound::Request,
            rest: Upload::Reading,
        }
    }

    /// When the request was handed over.
    pub(crate) fn started(&self) -> Instant {
        self.count.started
    }

    /// The attempt ends now.
    pub(crate) fn end(&mut self) -> Instant {
        *self.count.ended.insert(Instant::now())
    }

    /// What is left of the upload, without what was sent.
    pub(crate) fn rest(&self) -> Upload {
        self.upload.left(self.rest)
    }

    /// The carrier, unless the request was not sent to its end.
    #[inline]
    pub(crate) fn into_carrier(self) -> Option<Upstream> {
        (self.upload == Upload::Done).then_some(self.upstream)
    }
}

impl Stream<'_> {
    /// Sends the request and brings the response to the client.
    pub(crate) async fn relay(&mut self, attempt: &mut Attempt) -> Result<Relayed, Halt> {
        let before = attempt.upstream.traffic();
        let result = self.relay_to_end(attempt).await;
        attempt.count.traffic(before, attempt.upstream.traffic());
        self.timers.up.set(None);
        self.timers.down.set(None);
        result
    }

    async fn relay_to_end(&mut self, attempt: &mut Attempt) -> Result<Relayed, Halt> {
        self.client.release();
        self.note_attempt(attempt);
        self.begin_upload(attempt).await?;
        loop {
            let event = poll_fn(|cx| self.poll_relay(cx, attempt)).await?;
            match event {
                Event::RequestData(count) => self.filter_request_chunk(attempt, count).await?,
                Event::RequestEnd => self.filter_request_end(attempt).await?,
                Event::ResponseHead(start) => {
                    attempt.start = Some(start);
                    self.note_response(attempt);
                    if self.retry.left > 0
                        && self.is_failure(self.state.response.status)
                        && self.may_try_again(&attempt.count.cluster.cluster, attempt)
                    {
                        return Ok(Relayed::Failed);
                    }
                    self.respond(attempt, start).await?;
                }
                Event::ResponseData(count) => self.filter_response_chunk(attempt, count).await?,
                Event::ResponseEnd => self.filter_response_end(attempt).await?,
                Event::Finished => {
                    attempt.count.end = RequestEnd::Whole;
                    return Ok(Relayed::Done(self.after(attempt)));
                }
                Event::Stale => return Ok(Relayed::StaleConnection),
                Event::Lost(halt) => {
                    return match self.may_try_again(&attempt.count.cluster.cluster, attempt) {
                        true => Ok(Relayed::Failed),
                        false => Err(halt),
                    };
                }
                Event::Switched => {
                    self.note_response(attempt);
                    return self.tunnel(attempt).await.map(Relayed::Done);
                }
            }
            // Time that filters took is nobody else's.
            attempt.armed_at = None;
        }
    }

    fn note_response(&mut self, attempt: &mut Attempt) {
        attempt.count.status = self.state.response.status;
        attempt.count.report(Outcome::Status(attempt.count.status));
        self.state.info.upstream_us = self.state.info.micros_until(Instant::now());
    }

    fn poll_relay(&mut self, cx: &mut Context<'_>, attempt: &mut Attempt) -> Poll<Result<Event, Halt>> {
        if attempt.upload.goes_on()
            && let Poll::Ready(event) = self.poll_upload(cx, attempt)
        {
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
        // A body that is read shows the client's end by itself.
        if attempt.upload != Upload::Reading
            && let Poll::Ready(gone) = self.poll_client_gone(cx)
        {
            return Poll::Ready(Err(gone));
        }
        if self.timers.down.poll(cx).is_ready() {
            return Poll::Ready(Err(match attempt.download {
                Download::Head | Download::Reading => self.pace.halt(),
                _ => Halt::client_takes_nothing(),
            }));
        }
        // The upstream is not to blame while nobody listens to it.
        if attempt.download != Download::Interim && self.timers.up.poll(cx).is_ready() {
            attempt.count.end = RequestEnd::TimedOut;
            if attempt.count.status == 0 {
                attempt.count.report(Outcome::Timeout);
            }
            let stalled = Halt::upstream_stalled();
            return Poll::Ready(match attempt.bound {
                Bound::Attempt => Ok(Event::Lost(stalled)),
                Bound::Request => Err(stalled),
            });
        }
        Poll::Pending
    }

    /// Sets the deadlines of the sides that we wait for, if there was progress
    /// since they were set.
    fn arm(&mut self, attempt: &mut Attempt) {
        let moved = self.state.info.bytes_received + self.state.info.bytes_sent;
        let now = Some((attempt.upload, attempt.download, moved));
        if attempt.armed_at == now {
            return;
        }
        let before = std::mem::replace(&mut attempt.armed_at, now);
        let response = self.time_left(attempt);
        self.body_came();
        let write_idle = self.listener.config.timeouts.response_write_idle;
        let down = match (attempt.upload, attempt.download) {
            (Upload::Reading, Download::Head) => self.await_body(),
            (_, Download::Interim | Download::Direct(_) | Download::Buffered(_) | Download::Flushing) => write_idle,
            (Upload::Reading, _) => self.await_body(),
            _ => None,
        };
        let up = match (attempt.upload, attempt.download) {
            (Upload::Again(_) | Upload::Direct(_) | Upload::Buffered(_) | Upload::Flushing, _) => response,
            (Upload::Done | Upload::Broken, Download::Head | Download::Interim | Download::Reading) => response,
            _ => None,
        };
        self.timers.down.set(down);
        // Informational responses give the upstream no more time.
        let interim_only = before.is_some_and(|(upload, download, before)| {
            (upload, before) == (attempt.upload, moved)
                && matches!((download, attempt.download), (Download::Interim, _) | (_, Download::Interim))
        });
        if !interim_only {
            self.timers.up.set(up);
        }
        self.still_reading();
    }

    /// How long the upstream may let us wait, now.
    fn time_left(&self, attempt: &mut Attempt) -> Option<Duration> {
        attempt.bound = Bound::Request;
        let whole = self.retry.response;
        if !matches!(attempt.download, Download::Head | Download::Interim) {
            return whole;
        }
        let whole = whole.map(|whole| whole.saturating_sub(self.retry.spent()));
        match self.retry.per_try {
            Some(per_try) if whole.is_none_or(|whole| per_try < whole) => {
                attempt.bound = Bound::Attempt;
                Some(per_try)
            }
            _ => whole,
        }
    }

    fn after(&self, attempt: &Attempt) -> End {
        if attempt.upload == Upload::Done { End::Reusable } else { End::Finish }
    }
}
