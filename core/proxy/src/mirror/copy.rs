//! One copy of a request on its way, as a task of its own.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use sidegate_api::{Headers, Protocol, RequestHead, ResponseHead};
use sidegate_net::{BufferPool, Deadline, Deadlines, Peers};
use sidegate_stream::{BodyFault, Discard, End, Flow, FlowFault, Left, Limits, Nobody, RequestStart, Upstream, Way};
use sidegate_upstream::Permit;

use crate::host::{Asker, RequestCount, connect};
use crate::outcome::{Again, Bound, Ended, Failed, Outcome, Sent, Stop};
use crate::view::{ClusterTable, ClusterView, CopyInFlight};

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

impl RequestCopy {
    pub(crate) async fn send(mut self) {
        let cluster = self.cluster.clone();
        let position = self.position;
        let pool = &cluster.pools[position];
        let http2 = cluster.speaks_http2(None, self.request.start.version) && !pool.requires_http1();
        let spoken = if http2 { Protocol::Http2 } else { Protocol::Http11 };
        let pooled = {
            let authority = &*self.request.head.authority;
            poll_fn(|cx| Poll::Ready(connect::pooled(&cluster, position, spoken, authority, cx))).await
        };
        if let Some(upstream) = pooled
            && !self.exchange(upstream).await.is_err_and(|outcome| is_to_repeat(&outcome))
        {
            return;
        }
        // Once more if nobody has seen it.
        for _ in 0..2 {
            let Ok(upstream) = connect::carrier(&mut self, &cluster, position, spoken).await else { return };
            if !self.exchange(upstream).await.is_err_and(|outcome| is_to_repeat(&outcome)) {
                return;
            }
        }
    }

    async fn exchange(&self, mut upstream: Upstream) -> Ended {
        let mut count = RequestCount::new(self.cluster.clone(), self.position);
        let before = upstream.traffic();
        let CopiedRequest { head, start, .. } = &*self.request;
        upstream.start(head, start.body, start);
        self.deadline.set(Some(self.timeout));
        let ended = self.relay(&mut upstream, &mut count).await;
        count.traffic(before, upstream.traffic());
        count.conclude(&ended);
        match (&ended, upstream) {
            (Ok(_), Upstream::H1(connection)) => {
                self.cluster.give_back(self.position, connection, Instant::now());
            }
            (Err(_), Upstream::H1(_)) => {}
            (ended, Upstream::H2(stream)) => {
                if let Err(outcome) = ended
                    && let Outcome::TimedOut(_) = **outcome
                {
                    stream.distrust();
                }
                drop(stream);
                self.cluster.left();
            }
        }
        ended
    }

    /// Sends the request and drops the response. Both flows and the bound, and
    /// no filter: a loop of its own would have nothing else to do.
    async fn relay(&self, upstream: &mut Upstream, count: &mut RequestCount) -> Ended {
        let mut response = ResponseHead::default();
        let (mut sending, mut receiving) = (Flow::new(Left::Flush), Flow::default());
        // All of it was sent once: to the host that the client's request went to.
        sending.rewind();
        let mut way = (CopyWay::of(&self.request), CopyWay::default());
        let mut refused = None;
        poll_fn(|cx| {
            // A host that takes no more may have answered already.
            if let Poll::Ready(Err(FlowFault::Receiver(error))) = sending.poll(cx, &mut Nobody, upstream, &mut way.0) {
                refused = Some(error);
            }
            while response.status < 200 {
                match upstream.poll_head(cx, &self.limits, &self.request.head.method, &mut response) {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => {
                        let method = &self.request.head.method;
                        return Poll::Ready(Err(Outcome::no_response(error, upstream, method, Sent::Kept).into()));
                    }
                    Poll::Pending => return self.poll_waiting(cx),
                }
                if response.status >= 200 {
                    count.answered(response.status);
                }
            }
            match receiving.poll(cx, upstream, &mut Discard, &mut way.1) {
                Poll::Ready(Err(FlowFault::Sender(fault))) => return Poll::Ready(Err(Outcome::Broken(fault).into())),
                Poll::Pending if receiving.goes_on() => return self.poll_waiting(cx),
                _ => {}
            }
            match refused.take() {
                Some(error) => Poll::Ready(Err(Outcome::Broken(BodyFault::Io(error)).into())),
                None if sending.is_done() => Poll::Ready(Ok(End::Reusable)),
                None => self.poll_waiting(cx),
            }
        })
        .await
    }

    fn poll_waiting<T>(&self, cx: &mut Context<'_>) -> Poll<Result<T, Failed>> {
        self.deadline.poll(cx).map(|()| Err(Outcome::TimedOut(Bound::Request).into()))
    }
}

/// Nobody waits for a copy, and none is worth what streams could need.
impl Asker for RequestCopy {
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<Stop> {
        Poll::Pending
    }

    fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    fn deadlines(&self) -> &Rc<Deadlines> {
        self.deadline.table()
    }

    fn authority(&self) -> &str {
        &self.request.head.authority
    }

    fn buffers(&self) -> &BufferPool {
        &self.buffers
    }

    fn peers(&self) -> &Peers {
        &self.peers
    }

    fn connection_id(&self) -> Option<u64> {
        None
    }

    fn spares(&self) -> Option<Rc<ClusterTable>> {
        None
    }

    fn spend(&mut self, _: Duration) {}
}

/// What the bodies of a copy pass: nothing.
#[derive(Default)]
struct CopyWay<'c> {
    /// What is sent.
    body: &'c [u8],
    trailers: Headers,
}

impl<'c> CopyWay<'c> {
    fn of(request: &'c CopiedRequest) -> Self {
        let mut trailers = Headers::new();
        if !request.trailers.is_empty() {
            trailers.copy_from(&request.trailers);
        }
        CopyWay { body: &request.body, trailers }
    }
}

impl Way for CopyWay<'_> {
    fn is_watched(&self) -> bool {
        false
    }

    fn came(&mut self, _: usize) {}

    fn ended(&mut self) {}

    fn went(&mut self, _: &[u8]) {}

    fn buffer(&self) -> &[u8] {
        &[]
    }

    fn drain(&mut self, _: usize) {}

    fn replay(&self) -> &[u8] {
        self.body
    }

    fn trailers(&mut self) -> &mut Headers {
        &mut self.trailers
    }
}

/// Whether a copy that came to this may be sent once more.
fn is_to_repeat(outcome: &Outcome) -> bool {
    matches!(outcome.again(), Again::Fresh | Again::Unseen)
}
