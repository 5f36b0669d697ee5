//! One copy of a request on its way, as a task of its own.

use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use sidegate_api::{Headers, Method, ResponseHead};
use sidegate_net::{BufferPool, Deadline, Peers, Shortage, connect};
use sidegate_protocol::http1::{Limits, Persistence, Upgrade};
use sidegate_stream::{BodyEvent, ClientConnection};
use sidegate_upstream::{Outcome, Permit};

use crate::connect::ConnectionCount;
use crate::mirror::CopyInFlight;
use crate::relay::{RequestCount, RequestEnd};
use crate::room::Room;
use crate::view::ClusterView;

/// A request that is sent for its effect alone.
pub(crate) struct RequestCopy {
    pub(crate) cluster: Rc<ClusterView>,
    pub(crate) position: usize,
    /// Its bytes.
    pub(crate) request: Rc<[u8]>,
    pub(crate) method: Method,
    pub(crate) limits: Limits,
    /// For the whole exchange.
    pub(crate) timeout: Duration,
    pub(crate) buffers: BufferPool,
    pub(crate) peers: Peers,
    pub(crate) deadline: Deadline,
    pub(crate) _in_flight: CopyInFlight,
    pub(crate) _permit: Permit,
}

/// How an exchange ended.
enum Ended {
    /// The response was read to its end.
    Whole(Persistence),
    Failed,
    /// The host had closed the connection meanwhile.
    Stale,
}

impl RequestCopy {
    pub(crate) async fn send(self) {
        let pool = &self.cluster.pools[self.position];
        let (pooled, _) = poll_fn(|cx| Poll::Ready(pool.take(cx))).await;
        if let Some(connection) = pooled
            && !matches!(self.exchange(connection).await, Ended::Stale)
        {
            return;
        }
        if let Some(connection) = self.connect().await {
            self.exchange(connection).await;
        }
    }

    async fn connect(&self) -> Option<Box<ClientConnection>> {
        let cluster = &self.cluster.cluster;
        let _pending = cluster.breakers().pending().ok()?;
        let permit = match self.cluster.room(self.position, &self.peers) {
            Ok(permit) => permit,
            Err(mut waiting) => {
                self.deadline.set(Some(cluster.config().connect_timeout));
                let room = poll_fn(|cx| match waiting.poll(cx) {
                    Poll::Ready(room) => Poll::Ready(Some(room)),
                    Poll::Pending => self.deadline.poll(cx).map(|()| None),
                });
                match room.await? {
                    Room::Permit(permit) => permit,
                    Room::Connection(connection) => return Some(connection),
                }
            }
        };
        let host = &cluster.members()[self.position].host;
        let started = Instant::now();
        self.deadline.set(Some(cluster.config().connect_timeout));
        let mut connecting = pin!(connect(host.address()));
        let connected = poll_fn(|cx| match connecting.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => self.deadline.poll(cx).map(|()| Err(ErrorKind::TimedOut.into())),
        });
        match connected.await {
            Ok(socket) => {
                let guard = Box::new(ConnectionCount::new(host.clone(), permit));
                Some(self.cluster.connection(socket, self.buffers.clone(), guard))
            }
            Err(error) if let Some(shortage) = Shortage::of(&error, host.address()) => {
                self.cluster.exhausted(self.position, shortage, &error);
                None
            }
            Err(_) => {
                host.count(|m| m.connection_con_fail.inc());
                cluster.report(self.position, Outcome::ConnectFailure, started);
                None
            }
        }
    }

    async fn exchange(&self, mut connection: Box<ClientConnection>) -> Ended {
        let mut count = RequestCount::new(self.cluster.clone(), self.position);
        let before = connection.wire.socket.traffic();
        connection.begin_request(Upgrade::None);
        connection.wire.output.head().extend_from_slice(&self.request);
        self.deadline.set(Some(self.timeout));
        let mut response = ResponseHead::default();
        let mut trailers = Headers::new();
        let mut persistence = None;
        let ended = poll_fn(|cx| {
            if let Poll::Ready(ended) =
                self.poll_exchange(cx, &mut connection, &mut response, &mut trailers, &mut persistence)
            {
                return Poll::Ready(ended);
            }
            self.deadline.poll(cx).map(|()| Ended::Failed)
        })
        .await;
        if persistence.is_some() {
            count.status = response.status;
        }
        count.traffic(before, connection.wire.socket.traffic());
        count.end = match &ended {
            Ended::Whole(_) => RequestEnd::Whole,
            _ if self.deadline.is_due() => RequestEnd::TimedOut,
            Ended::Failed | Ended::Stale => RequestEnd::ByHost,
        };
        match (&ended, persistence) {
            (Ended::Stale, _) => {}
            (_, Some(_)) => count.report(Outcome::Status(response.status)),
            (_, None) if self.deadline.is_due() => count.report(Outcome::Timeout),
            (_, None) => count.report(Outcome::Reset),
        }
        if matches!(ended, Ended::Whole(Persistence::KeepAlive)) {
            self.cluster.give_back(self.position, connection, Instant::now());
        }
        ended
    }

    fn poll_exchange(
        &self,
        cx: &mut Context<'_>,
        connection: &mut ClientConnection,
        response: &mut ResponseHead,
        trailers: &mut Headers,
        persistence: &mut Option<Persistence>,
    ) -> Poll<Ended> {
        // A host that takes no more may have answered already.
        let sent = connection.wire.poll_flush(cx);
        while persistence.is_none() {
            match ready!(connection.poll_head(cx, &self.limits, &self.method, response)) {
                Ok(meta) if response.status >= 200 => *persistence = Some(meta.persistence),
                Ok(_) => {}
                Err(_) if connection.is_reused() && connection.wire.input.is_empty() && self.method.is_idempotent() => {
                    return Poll::Ready(Ended::Stale);
                }
                Err(_) => return Poll::Ready(Ended::Failed),
            }
        }
        loop {
            match ready!(connection.wire.poll_body(cx, trailers)) {
                Ok(BodyEvent::Data(count)) => connection.wire.take_body(count),
                Ok(BodyEvent::End) => break,
                Err(_) => return Poll::Ready(Ended::Failed),
            }
        }
        match (ready!(sent), *persistence) {
            (Ok(()), Some(persistence)) => Poll::Ready(Ended::Whole(persistence)),
            _ => Poll::Ready(Ended::Failed),
        }
    }
}
