//! Places on connections that many streams share.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use sidegate_net::{Deadlines, Socket};
use sidegate_stream::h2::{ClientConnection, ClientStream};
use sidegate_stream::{Connecting, InLine, Taken, Upstream};
use sidegate_upstream::{Overflow, Permit, Place, Resource};

use super::ConnectionCount;
use super::connect::{self, overflow};
use crate::outcome::{Outcome, Stop, Unreachable};
use crate::stream::{Stream, client};
use crate::view::ClusterView;

/// What who may connect has come to.
enum Room {
    Permit(Permit),
    /// A stream on another connection has ended meanwhile.
    Spared(ClientStream),
}

/// Makes a connection of a fresh socket to the host at `position`, for all who
/// wait for it. A place on it.
pub(crate) async fn share(
    cluster: &ClusterView,
    position: usize,
    (socket, count): (Socket, ConnectionCount),
    deadlines: &Rc<Deadlines>,
    id: Option<u64>,
    connecting: Connecting,
) -> Result<ClientStream, Unreachable> {
    let settings = &cluster.cluster.config().http2;
    cluster.cluster.count_http2(|m| m.connections.inc());
    let opened = ClientConnection::open(socket, settings, deadlines, id, Some(Box::new(count))).await;
    let pool = &cluster.pools[position];
    let stream = opened.ok().and_then(|connection| connecting.made(connection));
    if !pool.is_listed() {
        cluster.lasting.idle.list(pool);
    }
    stream.ok_or(Unreachable::Refused)
}

/// A place on a connection to the host at `position`, or why there is none.
/// Waiting and connecting may each take the cluster's `connect_timeout`.
/// Also ends when the client goes away meanwhile.
pub(crate) async fn carrier(s: &mut Stream<'_>, cluster: &ClusterView, position: usize) -> Result<Upstream, Outcome> {
    let stream = match cluster.pools[position].shared().take() {
        Taken::Ready(stream) => stream,
        // Apart: it is rare, and would make all streams larger.
        taken => Box::pin(wait_for_share(s, cluster, position, taken)).await?,
    };
    cluster.cluster.count_http2(|m| m.streams.inc());
    Ok(Upstream::H2(Box::new(stream)))
}

async fn wait_for_share(
    s: &mut Stream<'_>,
    cluster: &ClusterView,
    position: usize,
    mut taken: Taken,
) -> Result<ClientStream, Outcome> {
    let _pending = cluster.cluster.breakers().pending().map_err(|over| overflow(cluster, over))?;
    loop {
        taken = match taken {
            Taken::Ready(stream) => return Ok(stream),
            Taken::Wait(in_line) => stand_in_line(s, cluster, &in_line).await?,
            Taken::Connect(connecting) => return connect_shared(s, cluster, position, connecting).await,
        };
    }
}

async fn stand_in_line(s: &mut Stream<'_>, cluster: &ClusterView, in_line: &InLine) -> Result<Taken, Outcome> {
    s.timers.up.set(Some(cluster.cluster.config().connect_timeout));
    let turn = poll_fn(|cx| {
        if let Poll::Ready(turn) = in_line.poll(cx) {
            return Poll::Ready(turn.map_err(|kind| Unreachable::from(kind).into()));
        }
        if let Poll::Ready(gone) = client::poll_gone(s, cx) {
            return Poll::Ready(Err(gone.into()));
        }
        s.timers.up.poll(cx).map(|()| Err(Unreachable::TimedOut.into()))
    })
    .await;
    s.timers.up.set(None);
    turn
}

async fn connect_shared(
    s: &mut Stream<'_>,
    cluster: &ClusterView,
    position: usize,
    connecting: Connecting,
) -> Result<ClientStream, Outcome> {
    let permit = match cluster.shared_room(&s.worker.peers) {
        Ok(permit) => permit,
        Err(place) => match wait_for_shared_room(s, cluster, place, &connecting).await? {
            Room::Permit(permit) => permit,
            Room::Spared(stream) => return Ok(stream),
        },
    };
    match connect::fresh(s, cluster, position, permit).await {
        Ok(fresh) => {
            let id = Some(s.worker.next_connection_id());
            Ok(share(cluster, position, fresh, &s.worker.deadlines, id, connecting).await?)
        }
        Err(outcome) => {
            if let Outcome::Unreachable(reason) = &outcome
                && let Some(kind) = reason.of_host()
            {
                connecting.failed(kind);
            }
            Err(outcome)
        }
    }
}

async fn wait_for_shared_room(
    s: &mut Stream<'_>,
    cluster: &ClusterView,
    mut place: Place,
    connecting: &Connecting,
) -> Result<Room, Stop> {
    s.timers.up.set(Some(cluster.cluster.config().connect_timeout));
    let room = poll_fn(|cx| {
        if let Poll::Ready(stream) = connecting.poll_spared(cx) {
            return Poll::Ready(Ok(Room::Spared(stream)));
        }
        if let Poll::Ready(permit) = place.poll(cx) {
            return Poll::Ready(Ok(Room::Permit(permit)));
        }
        if let Poll::Ready(gone) = client::poll_gone(s, cx) {
            return Poll::Ready(Err(gone));
        }
        s.timers.up.poll(cx).map(|()| Err(overflow(cluster, Overflow(Resource::Connection))))
    })
    .await;
    s.timers.up.set(None);
    room
}
