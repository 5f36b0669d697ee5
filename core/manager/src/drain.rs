//! Listeners that are gone: their connections end in their time.

use std::sync::Arc;
use std::time::Duration;

use sidegate_net::{ListenerId, RunPhase, Workers};
use sidegate_proxy::{ProxyService, Update};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Board;

/// What is cut may take this long to be gone.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// All that drain. They stop to be waited for when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Drains(JoinSet<()>);

impl Drains {
    /// Lets the connections of a listener that does not accept any more end
    /// within `patience`; what is left then is cut. Workers forget it after
    /// that.
    pub(crate) fn begin(
        &mut self,
        id: ListenerId,
        name: Arc<str>,
        patience: Duration,
        workers: Arc<Workers<ProxyService>>,
        board: Arc<Board>,
    ) {
        board.begins_to_drain(name.clone(), id);
        self.0.spawn(async move {
            tracing::info!(listener = &*name, ?patience, connections = workers.listener_connections(id), "draining");
            workers.set_listener_phase(id, RunPhase::Draining);
            if timeout(patience, workers.listener_idle(id)).await.is_err() {
                let connections = workers.listener_connections(id);
                tracing::warn!(listener = &*name, connections, "streams of a removed listener are cut");
                workers.set_listener_phase(id, RunPhase::Stopping);
                let _ = timeout(LAST_PATIENCE, workers.listener_idle(id)).await;
            }
            // Nobody waits for that.
            let _ = workers.publish(Arc::new(Update::Listener(id, None)));
            board.is_drained(id);
            tracing::info!(listener = &*name, "removed");
        });
    }

    /// Forgets those that are done.
    pub(crate) fn reap(&mut self) {
        while self.0.try_join_next().is_some() {}
    }

    /// Gives all of them up, and whatever they hold.
    pub(crate) async fn end(&mut self) {
        self.0.shutdown().await;
    }
}
