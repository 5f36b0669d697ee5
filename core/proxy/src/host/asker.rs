//! Who asks for a way to a host: a stream, or a copy of its request.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use sidegate_net::{BufferPool, Deadline, Deadlines, Peers};

use crate::outcome::Stop;
use crate::stream::{Stream, client};
use crate::view::ClusterTable;

/// What connecting needs of whoever asks for it.
pub(crate) trait Asker {
    /// Ready when nobody waits for it any more.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Stop>;

    /// Free while nothing was sent to a host.
    fn deadline(&self) -> &Deadline;

    /// The deadlines of the worker.
    fn deadlines(&self) -> &Rc<Deadlines>;

    /// Whom the request is for: host and perhaps port.
    fn authority(&self) -> &str;

    /// The worker's buffers.
    fn buffers(&self) -> &BufferPool;

    /// The other workers.
    fn peers(&self) -> &Peers;

    /// A number for a fresh connection, if that is ever named.
    fn connection_id(&self) -> Option<u64>;

    /// Who may give up what others need, for one that is worth it.
    fn spares(&self) -> Option<Rc<ClusterTable>>;

    /// It waited so long in vain.
    fn spend(&mut self, time: Duration);
}

impl Asker for Stream<'_> {
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        client::poll_gone(self, cx)
    }

    fn deadline(&self) -> &Deadline {
        &self.timers.up
    }

    fn deadlines(&self) -> &Rc<Deadlines> {
        &self.worker.deadlines
    }

    fn authority(&self) -> &str {
        &self.state.request.authority
    }

    fn buffers(&self) -> &BufferPool {
        &self.worker.buffers
    }

    fn peers(&self) -> &Peers {
        &self.worker.peers
    }

    fn connection_id(&self) -> Option<u64> {
        Some(self.worker.next_connection_id())
    }

    fn spares(&self) -> Option<Rc<ClusterTable>> {
        Some(self.routes.clusters.clone())
    }

    fn spend(&mut self, time: Duration) {
        self.retry.spend(time);
    }
}

/// What `poll` comes to within `time`; `None` if it does not. Ends early when
/// nobody waits for it any more.
pub(super) async fn within<A: Asker, T>(
    asker: &mut A,
    time: Duration,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<Option<T>, Stop> {
    asker.deadline().set(Some(time));
    let result = poll_fn(|cx| {
        if let Poll::Ready(value) = poll(cx) {
            return Poll::Ready(Ok(Some(value)));
        }
        if let Poll::Ready(gone) = asker.poll_gone(cx) {
            return Poll::Ready(Err(gone));
        }
        asker.deadline().poll(cx).map(|()| Ok(None))
    })
    .await;
    asker.deadline().set(None);
    result
}

/// Ends early when nobody waits for it any more.
pub(crate) async fn pause<A: Asker>(asker: &mut A, time: Duration) -> Result<(), Stop> {
    within(asker, time, |_| Poll::<()>::Pending).await?;
    asker.spend(time);
    Ok(())
}
