//! One copy of a request on its way, as a task of its own.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use sidegate_api::{Headers, RequestHead, ResponseHead};
use sidegate_net::{BufferPool, Deadline, Peers, Shortage, Socket, connect};
use sidegate_stream::h2::ClientStream;
use sidegate_stream::{BodyEvent, BodyFault, Data, End, Limits, RequestStart, Taken, Upstream};
use sidegate_upstream::Permit;

use crate::host::{ConnectionCount, RequestCount, connect::exhausted, share::share};
use crate::outcome::{Again, Bound, Outcome, Sent, Unreachable};
use crate::view::{ClusterView, CopyInFlight, Room};

/// A request that is sent for its effect alone.
pub(crate) struct RequestCopy {
    pub(crate) cluster: Rc<ClusterView>,
    pub(crate) position: usize,
    pub(crate) request: Rc<CopiedRequest>,
    pub(crate) limits: Limits,
    /// For the whole exchange.
    pub(crate) timeout: Duration,
    pub(crate) buffers: BufferPool,
    pub(crate) peers: Peers,
    pub(crate) deadline: Deadline,
    pub(crate) _in_flight: CopyInFlight,
    pub(crate) _permit: Permit,
}

/// What all copies of a request have in common.
pub(crate) struct CopiedRequest {
    pub(crate) head: RequestHead,
    pub(crate) start: RequestStart,
    pub(crate) body: Box<[u8]>,
    pub(crate) trailers: Headers,
}

/// How far the request has come.
#[derive(Clone, Copy)]
enum Sending {
    /// So many bytes of its body went.
    Body(usize),
    Flushing,
}

/// How far the response has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Receiving {
    Head,
    Body,
}

impl RequestCopy {
    pub(crate) async fn send(self) {
        if self.cluster.speaks_http2(None, self.request.start.version) {
            return self.send_shared().await;
        }
        let pool = &self.cluster.pools[self.position];
        let (pooled, _) = poll_fn(|cx| Poll::Ready(pool.take(cx))).await;
        if let Some(connection) = pooled
            && !is_to_repeat(&self.exchange(Upstream::H1(connection)).await)
        {
            return;
        }
        if let Some(connection) = self.connect().await {
            self.exchange(connection).await;
        }
    }

    /// On connections that streams share; once more if the host has not looked
    /// at it.
    async fn send_shared(self) {
        for _ in 0..2 {
            let Some(stream) = self.share().await else { return };
            self.cluster.cluster.count_http2(|m| m.streams.inc());
            if !is_to_repeat(&self.exchange(Upstream::H2(Box::new(stream))).await) {
                return;
            }
        }
    }

    async fn share(&self) -> Option<ClientStream> {
        let mut taken = self.cluster.pools[self.position].shared().take();
        if let Taken::Ready(stream) = taken {
            return Some(stream);
        }
        let _pending = self.cluster.cluster.breakers().pending().ok()?;
        loop {
            taken = match taken {
                Taken::Ready(stream) => return Some(stream),
                Taken::Wait(in_line) => {
                    let turn = self.bounded(|cx| in_line.poll(cx)).await;
                    turn?.ok()?
                }
                Taken::Connect(connecting) => {
                    let permit = match self.cluster.shared_room(&self.peers) {
                        Ok(permit) => permit,
                        Err(mut place) => self.bounded(|cx| place.poll(cx)).await?,
                    };
                    return match self.dial(permit).await {
                        Ok(fresh) => {
                            let deadlines = self.deadline.table();
                            share(&self.cluster, self.position, fresh, deadlines, None, connecting).await.ok()
                        }
                        Err(reason) => {
                            if let Some(kind) = reason.of_host() {
                                connecting.failed(kind);
                            }
                            None
                        }
                    };
                }
            };
        }
    }

    /// What `poll` comes to within the cluster's `connect_timeout`.
    async fn bounded<T>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
        self.deadline.set(Some(self.cluster.cluster.config().connect_timeout));
        poll_fn(|cx| match poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => self.deadline.poll(cx).map(|()| None),
        })
        .await
    }

    async fn connect(&self) -> Option<Upstream> {
        let cluster = &self.cluster.cluster;
        let _pending = cluster.breakers().pending().ok()?;
        let permit = match self.cluster.room(self.position, &self.peers) {
            Ok(permit) => permit,
            Err(mut waiting) => match self.bounded(|cx| waiting.poll(cx)).await? {
                Room::Permit(permit) => permit,
                Room::Connection(connection) => return Some(Upstream::H1(connection)),
            },
        };
        let (socket, count) = self.dial(permit).await.ok()?;
        Some(Upstream::H1(self.cluster.connection(socket, self.buffers.clone(), Box::new(count))))
    }

    /// A fresh socket, counted, or why there is none.
    async fn dial(&self, permit: Permit) -> Result<(Socket, ConnectionCount), Unreachable> {
        let cluster = &self.cluster.cluster;
        let host = &cluster.members()[self.position].host;
        let started = Instant::now();
        let mut connecting = pin!(connect(host.address()));
        let connected = self.bounded(|cx| connecting.as_mut().poll(cx)).await;
        match connected.unwrap_or_else(|| Err(ErrorKind::TimedOut.into())) {
            Ok(socket) => Ok((socket, ConnectionCount::new(cluster, self.position, permit))),
            Err(error) if let Some(shortage) = Shortage::of(&error, host.address()) => {
                exhausted(&self.cluster, self.position, shortage, &error);
                Err(Unreachable::Exhausted(shortage))
            }
            Err(error) => {
                host.count(|m| m.connection_con_fail.inc());
                let reason = Unreachable::from(error.kind());
                if let Some(report) = reason.told() {
                    cluster.report(self.position, report, started);
                }
                Err(reason)
            }
        }
    }

    async fn exchange(&self, mut upstream: Upstream) -> Outcome {
        let mut count = RequestCount::new(self.cluster.clone(), self.position);
        let before = upstream.traffic();
        let CopiedRequest { head, start, .. } = &*self.request;
        upstream.start(head, start.body, start);
        self.deadline.set(Some(self.timeout));
        let mut response = ResponseHead::default();
        let mut trailers = Headers::new();
        let (mut sending, mut receiving) = (Sending::Body(0), Receiving::Head);
        let outcome = poll_fn(|cx| {
            // A host that takes no more may have answered already.
            let sent = self.poll_sent(cx, &mut upstream, &mut sending);
            let received = self.poll_received(cx, &mut upstream, &mut response, &mut trailers, &mut receiving);
            match (received, sent) {
                (Poll::Ready(Outcome::Whole(_)), Poll::Pending) | (Poll::Pending, _) => {
                    self.deadline.poll(cx).map(|()| Outcome::TimedOut(Bound::Request))
                }
                (Poll::Ready(Outcome::Whole(_)), Poll::Ready(Err(error))) => {
                    Poll::Ready(Outcome::Broken(BodyFault::Io(error)))
                }
                (Poll::Ready(outcome), _) => Poll::Ready(outcome),
            }
        })
        .await;
        if receiving == Receiving::Body {
            count.answered(response.status);
        }
        count.traffic(before, upstream.traffic());
        count.conclude(&outcome);
        match (&outcome, upstream) {
            (Outcome::Whole(_), Upstream::H1(connection)) => {
                self.cluster.give_back(self.position, connection, Instant::now());
            }
            (_, Upstream::H1(_)) => {}
            (_, Upstream::H2(stream)) => {
                drop(stream);
                self.cluster.left();
            }
        }
        outcome
    }

    fn poll_sent(&self, cx: &mut Context<'_>, upstream: &mut Upstream, sending: &mut Sending) -> Poll<io::Result<()>> {
        while let Sending::Body(sent) = *sending {
            let left = &self.request.body[sent..];
            if left.is_empty() {
                upstream.finish(&self.request.trailers);
                *sending = Sending::Flushing;
            } else {
                *sending = Sending::Body(sent + ready!(upstream.poll_send(cx, Data::Slice(left)))?);
            }
        }
        upstream.poll_flush(cx)
    }

    fn poll_received(
        &self,
        cx: &mut Context<'_>,
        upstream: &mut Upstream,
        response: &mut ResponseHead,
        trailers: &mut Headers,
        receiving: &mut Receiving,
    ) -> Poll<Outcome> {
        let method = &self.request.head.method;
        while *receiving == Receiving::Head {
            match ready!(upstream.poll_head(cx, &self.limits, method, response)) {
                Ok(_) if response.status >= 200 => *receiving = Receiving::Body,
                Ok(_) => {}
                Err(error) => return Poll::Ready(Outcome::no_response(error, upstream, method, Sent::Kept)),
            }
        }
        loop {
            match ready!(upstream.poll_body(cx, trailers)) {
                Ok(BodyEvent::Data(count)) => upstream.consume(count),
                Ok(BodyEvent::End) => return Poll::Ready(Outcome::Whole(End::Reusable)),
                Err(fault) => return Poll::Ready(Outcome::Broken(fault)),
            }
        }
    }
}

/// Whether a copy that came to this may be sent once more.
fn is_to_repeat(outcome: &Outcome) -> bool {
    matches!(outcome.again(), Again::Fresh | Again::Unseen)
}
