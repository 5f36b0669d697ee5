//! Places on connections that many streams share.

use std::rc::Rc;
use std::task::Poll;

use sidegate_api::Protocol;
use sidegate_net::{Deadlines, Socket};
use sidegate_stream::h2::{ClientConnection, ClientStream};
use sidegate_stream::{Connecting, InLine, Taken, Upstream};
use sidegate_upstream::{Overflow, Permit, Place, Resource};

use super::asker::within;
use super::connect::{self, overflow};
use super::{Asker, ConnectionCount};
use crate::outcome::{Failed, Outcome, Stop, Unreachable};
use crate::view::ClusterView;

/// What who may connect has come to.
enum Room {
    Permit(Permit),
    /// A stream on another connection has ended meanwhile.
    Spared(ClientStream),
}

/// Makes a connection of a fresh socket to the host at `position`, for all who
/// wait for it. A place on it.
async fn share(
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
pub(super) async fn carrier<A: Asker>(
    asker: &mut A,
    cluster: &ClusterView,
    position: usize,
) -> Result<Upstream, Failed> {
    let taken = match cluster.by_name {
        false => cluster.take_turns(&cluster.pools[position]).take(),
        true => cluster.take_turns(&connect::pool(asker, cluster, position)?).take(),
    };
    let stream = match taken {
        Taken::Ready(stream) => stream,
        // Apart: it is rare, and would make all streams larger.
        taken => Box::pin(wait_for_share(asker, cluster, position, taken)).await?,
    };
    cluster.cluster.count_http2(|m| m.streams.inc());
    Ok(Upstream::H2(Box::new(stream)))
}

async fn wait_for_share<A: Asker>(
    asker: &mut A,
    cluster: &ClusterView,
    position: usize,
    mut taken: Taken,
) -> Result<ClientStream, Failed> {
    let _pending = cluster.cluster.breakers().pending().map_err(|over| overflow(cluster, over))?;
    loop {
        taken = match taken {
            Taken::Ready(stream) => return Ok(stream),
            Taken::Wait(in_line) => stand_in_line(asker, cluster, &in_line).await?,
            Taken::Connect(connecting) => return connect_shared(asker, cluster, position, connecting).await,
        };
    }
}

async fn stand_in_line<A: Asker>(asker: &mut A, cluster: &ClusterView, in_line: &InLine) -> Result<Taken, Failed> {
    let patience = cluster.cluster.config().connect_timeout;
    match within(asker, patience, |cx| in_line.poll(cx)).await? {
        Some(turn) => turn.map_err(|kind| Unreachable::from(kind).into()),
        None => Err(Unreachable::TimedOut.into()),
    }
}

async fn connect_shared<A: Asker>(
    asker: &mut A,
    cluster: &ClusterView,
    position: usize,
    connecting: Connecting,
) -> Result<ClientStream, Failed> {
    let permit = match cluster.shared_room(asker.peers()) {
        Ok(permit) => permit,
        Err(place) => match wait_for_shared_room(asker, cluster, place, &connecting).await? {
            Room::Permit(permit) => permit,
            Room::Spared(stream) => return Ok(stream),
        },
    };
    let pool = connect::pool(asker, cluster, position)?;
    match connect::fresh(asker, cluster, position, &pool, Protocol::Http2, permit).await {
        Ok(fresh) => {
            let id = asker.connection_id();
            Ok(share(cluster, position, fresh, asker.deadlines(), id, connecting).await?)
        }
        Err(outcome) => {
            if let Outcome::Unreachable(reason) = &*outcome
                && let Some(kind) = reason.of_host()
            {
                connecting.failed(kind);
            }
            Err(outcome)
        }
    }
}

async fn wait_for_shared_room<A: Asker>(
    asker: &mut A,
    cluster: &ClusterView,
    mut place: Place,
    connecting: &Connecting,
) -> Result<Room, Stop> {
    let patience = cluster.cluster.config().connect_timeout;
    let room = within(asker, patience, |cx| {
        if let Poll::Ready(stream) = connecting.poll_spared(cx) {
            return Poll::Ready(Room::Spared(stream));
        }
        place.poll(cx).map(Room::Permit)
    });
    room.await?.ok_or_else(|| overflow(cluster, Overflow(Resource::Connection)))
}
